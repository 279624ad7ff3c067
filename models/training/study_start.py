"""The trunk that the studies of DACL and SCN start from: softmax, on the images with which no study trains.

    python study_start.py                  # -> runs/study_start
    python study_start.py --epochs 1 --limit 640    # a dry run

Takes train.py's options, and is resumable as it is.
"""

import sys

import torch

import resnet18
import study
import train
from task_expression import Expression


def others(data, limit=None):
    """The training split without what a study may take."""
    task = Expression("train", resnet18.SIZE, data)
    rows = torch.ones(len(task), dtype=torch.bool)
    rows[study.chosen(task)] = False
    for part in ("images", "ferplus", "majority", "fer2013"):
        setattr(task, part, getattr(task, part)[rows][:limit])
    return task


if __name__ == "__main__":
    args = train.parse(["resnet18", "--name", study.START, "--set", "pool=true", *sys.argv[1:]])
    task = others(args.data, args.limit)
    task.size = args.size or task.size
    train.train(args, task)
