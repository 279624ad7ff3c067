"""What trained networks answer on the training tiles, for another network to learn from.

    python teach.py mine expression_mien expression_mini_xception   # -> cache/teacher_mine.npz
    python teach.py ours labels_a labels_b                          # runs, or networks kept, will do
    python teach.py wilder labels_a labels_b --wild                 # and on faces without labels (wild.py)
    python train.py mien_net --teacher mine

Each teacher sees every tile as it is, a tenth nearer and a tenth farther, and each of these mirrored; the mean of all
their probabilities is kept, `[N, classes]`, each head summing to one. The task is the teachers'. Who can teach: `teachers.py`.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

import augment
import prepare
import task_expression
import teachers
import wild


def answers(logits, size, Task, tiles):
    """Probabilities `[N, classes]` of one model, averaged over all views of each tile."""
    images = augment.plain(tiles, size)
    given = [Task.probabilities(logits(augment.view(images, *view)).float()) for view in augment.VIEWS]
    return sum(given) / len(given)


def teach(name, names, data=prepare.DATA, limit=None, faces=None, bf16=False):
    """Write the mean answers of the teachers `names` on the training split, and on other `faces` `[N, 48, 48]` where given.

    With `bf16` they answer in bfloat16. Prints their accuracy on valid first, then on the training split.
    """
    models = [teachers.answers(name) for name in names]
    Task, *others = {Task for *_, Task in models}
    if others:
        raise ValueError(f"Cannot teach {name}: {' and '.join(names)} do not all know the same task")

    def mean(tiles):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):  # not around what chooses the tiles
            return (sum(answers(*one, tiles) for one in models) / len(models)).numpy()

    for split in ("valid", "train"):
        task = Task(split, models[0][1], data, limit)
        given = mean(task.images)
        figures = task.metrics(torch.from_numpy(given))
        print({key: round(value, 4) for key, value in figures.items()}, flush=True)
    more = {} if faces is None else {"faces": faces, "face_answers": mean(torch.from_numpy(faces))}
    np.savez(task_expression.teacher_file(name), answers=given, teachers=np.array(names), **more)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="what train.py --teacher calls them")
    parser.add_argument("teachers", nargs="+", help="runs, networks in teachers/ or exported models")
    parser.add_argument("--wild", action="store_true", help="answer on the faces of wild.py too, for train.py to add")
    parser.add_argument("--bf16", action="store_true", help="as train.py's: half of the time, rounded answers")
    parser.add_argument("--data", type=Path, default=prepare.DATA)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    faces = wild.tiles(args.data) if args.wild else None
    teach(args.name, args.teachers, args.data, faces=faces, bf16=args.bf16)
