"""What trained models answer on the training tiles, for another network to learn from.

    python teach.py mine expression_mien expression_mini_xception   # -> cache/teacher_mine.npz
    python train.py mien_net --teacher mine

Each teacher sees every tile as it is and mirrored; the mean of all their probabilities is kept,
`[N, 15]`, each head summing to one. Teachers are exported models, by their names in the manifest.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

import augment
import evaluate
import manifest
import prepare
import task_expression


def answers(entry, images):
    """Probabilities `[N, 15]` of one exported model, averaged over each tile and its mirror image."""
    heads = task_expression.Expression.HEADS
    plain = augment.plain(images, entry["inputs"][0]["shape"][2])
    columns = evaluate.slices(heads).values()
    views = [evaluate.run_graph(entry, view, heads) for view in (plain, plain.flip(3))]
    return sum(torch.cat([view[:, at].softmax(1) for at in columns], 1) for view in views) / len(views)


def teach(name, teachers, data=prepare.DATA, limit=None):
    """Write the mean answers of `teachers` on the training split; prints each one's accuracy on valid first."""
    train_split = task_expression.Expression("train", 48, data, limit)
    valid = task_expression.Expression("valid", 48, data, limit)
    entries = [manifest.entry(teacher) for teacher in teachers]
    for split in (valid, train_split):
        given = sum(answers(entry, split.images) for entry in entries) / len(entries)
        print({key: round(value, 4) for key, value in split.metrics(given).items()})
    np.savez(task_expression.teacher_file(name), answers=given.numpy(), teachers=np.array(teachers))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="what train.py --teacher calls them")
    parser.add_argument("teachers", nargs="+", help="exported models")
    parser.add_argument("--data", type=Path, default=prepare.DATA)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    teach(args.name, args.teachers, args.data)
