"""What trained networks answer on the training tiles, for another network to learn from.

    python teach.py mine expression_mien expression_mini_xception   # -> cache/teacher_mine.npz
    python teach.py ours labels_a labels_b                          # runs, or networks kept, will do
    python train.py mien_net --teacher mine

Each teacher sees every tile as it is, a tenth nearer and a tenth farther, and each of these mirrored; the mean of all
their probabilities is kept, `[N, 15]`, each head summing to one. Who can teach: `teachers.py`.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

import augment
import prepare
import task_expression
import teachers


def answers(logits, size, tiles):
    """Probabilities `[N, 15]` of one model, averaged over all views of each tile."""
    images = augment.plain(tiles, size)
    given = [task_expression.probabilities(logits(augment.view(images, *view))) for view in augment.VIEWS]
    return sum(given) / len(given)


def teach(name, names, data=prepare.DATA, limit=None):
    """Write the mean answers of the teachers `names` on the training split; prints their accuracy on valid first, then on it."""
    models = [teachers.answers(name) for name in names]
    for split in ("valid", "train"):
        task = task_expression.Expression(split, 48, data, limit)
        given = sum(answers(*one, task.images) for one in models) / len(models)
        print({key: round(value, 4) for key, value in task.metrics(given).items()}, flush=True)
    np.savez(task_expression.teacher_file(name), answers=given.numpy(), teachers=np.array(names))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="what train.py --teacher calls them")
    parser.add_argument("teachers", nargs="+", help="runs, networks in teachers/ or exported models")
    parser.add_argument("--data", type=Path, default=prepare.DATA)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    teach(args.name, args.teachers, args.data)
