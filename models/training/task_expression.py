"""Expression recognition with two heads on one trunk: FERPlus (8) and FER2013 (7).

The two label sets agree on only two images in three, so one trunk serves both and each head is
trained and reported on its own labels. A network returns evidence maps `[B, 15, h, w]`; logits are
their spatial means, 0..7 FERPlus, 8..14 FER2013.
"""

import numpy as np
import torch
import torch.nn.functional as F

import align
import augment
import prepare
import targets

CLASSES = len(targets.EXPRESSIONS) + len(targets.FER2013)
SPLIT = len(targets.EXPRESSIONS)


class Expression:
    # Outputs in the order of their classes, the first one served: what it is measured on, labels, where the truth is.
    HEADS = {
        "logits": ("FERPlus valid, majority, 8 classes", targets.EXPRESSIONS, "majority"),
        "logits_fer2013": ("FER2013 valid (PublicTest), 7 classes", targets.FER2013, "fer2013"),
    }
    TEMPLATE = align.FILE
    DATA_LICENSE = "FER2013: Kaggle challenge data (Goodfellow et al. 2013), licence unknown; FERPlus labels: MIT"
    PEOPLE = False  # the set tells nothing about the people, so there are no figures by group

    def __init__(self, split, size, data=prepare.DATA, limit=None):
        arrays = prepare.load(f"fer_{split}", data)
        keep = slice(0, limit)
        self.size, self.limit = size, limit
        self.teacher, self.teacher_weight = None, 0.0
        self.images = torch.from_numpy(arrays["images"][keep])
        self.ferplus = torch.from_numpy(targets.soft(arrays["votes"][keep]))
        self.majority = torch.from_numpy(targets.majority(arrays["votes"][keep]))
        self.fer2013 = torch.from_numpy(arrays["fer2013"][keep])
        self.unlabelled = torch.zeros(len(self), dtype=torch.bool)

    def __len__(self):
        return len(self.images)

    def batch(self, index, gen=None):
        """Inputs `[B, 1, size, size]` in -1..1; augmented when a generator is given."""
        tiles = self.images[index]
        if gen is None:
            return augment.normalise(augment.plain(tiles, self.size))
        return augment.normalise(augment.photometric(augment.warp(tiles, self.size, gen), gen))

    def loss(self, outputs, index):
        logits = outputs.mean((2, 3))
        soft, hard = self.ferplus[index], self.fer2013[index]
        ferplus = cross_entropy(logits[:, :SPLIT], soft, soft.sum(1) > 0)
        single = F.cross_entropy(logits[:, SPLIT:], hard, ignore_index=-1, reduction="sum")
        fer2013 = single / (hard >= 0).sum().clamp(min=1)
        if self.teacher is None:
            return ferplus + fer2013
        taught = self.teacher[index]
        alone = self.unlabelled[index]
        learned = cross_entropy(logits[:, :SPLIT], taught[:, :SPLIT], (soft.sum(1) > 0) | alone)
        learned = learned + cross_entropy(logits[:, SPLIT:], taught[:, SPLIT:], (hard >= 0) | alone)
        return (1 - self.teacher_weight) * (ferplus + fer2013) + self.teacher_weight * learned

    def learn_from(self, teacher, weight, faces=True):
        """Mix a teacher's answers (`teach.py`) into the labels: `weight` of the loss is the teacher's.

        With `faces`, those that only the teacher has answered on join the training images, as many as these at most.
        """
        stored = taught(teacher, self, CLASSES)
        self.teacher, self.teacher_weight = stored["answers"][: len(self)], weight
        if faces and "faces" in stored:
            self.add(stored["faces"][: len(self)], stored["face_answers"][: len(self)])

    def add(self, faces, answers):
        """Append faces `[N, H, W]` that have no labels, only a teacher's answers `[N, 15]`."""
        n = len(faces)
        none = torch.full((n,), -1)
        self.images, self.teacher = torch.cat([self.images, faces]), torch.cat([self.teacher, answers])
        self.ferplus = torch.cat([self.ferplus, self.ferplus.new_zeros(n, SPLIT)])
        self.majority, self.fer2013 = torch.cat([self.majority, none]), torch.cat([self.fer2013, none])
        self.unlabelled = torch.cat([self.unlabelled, torch.ones(n, dtype=torch.bool)])

    def learn_from_tutors(self, weight):
        """Mix answers into the labels that are put into `teacher`, by index, before each step's loss (`tutors.py`)."""
        self.teacher, self.teacher_weight = torch.zeros(len(self), CLASSES), weight

    def metrics(self, logits):
        """Accuracy on the majority FERPlus labels and on FER2013, from logits `[N, 15]`."""
        return {
            "ferplus": accuracy(logits[:, :SPLIT], self.majority),
            "fer2013": accuracy(logits[:, SPLIT:], self.fer2013),
        }

    @staticmethod
    def predict(outputs):
        return outputs.mean((2, 3))

    @staticmethod
    def probabilities(logits):
        return probabilities(logits)


def teacher_file(name):
    """Where `teach.py` keeps what models answer on the training split, `[N, classes]`."""
    return prepare.CACHE / f"teacher_{name}.npz"


def taught(name, task, classes):
    """What `teach.py` kept: `answers` `[N, classes]`; with `--wild` also `faces` and `face_answers`.

    Raises FileNotFoundError where nothing has the name, ValueError where its teachers know other classes or saw other images.
    """
    path = teacher_file(name)
    if not path.exists():
        raise FileNotFoundError(f"Cannot find {path}: write it with teach.py {name} <models>")
    with np.load(path) as stored:
        found = {key: torch.from_numpy(stored[key]) for key in stored.files if key != "teachers"}
    if (n := found["answers"].shape[1]) != classes:
        raise ValueError(
            f"Cannot learn from {name}: it answers {n} classes, not {classes}; choose teachers of this task"
        )
    if (n := len(found["answers"])) < len(task) or (n > len(task) and task.limit is None):
        raise ValueError(f"Cannot learn from {name}: it answers {n} images, not {len(task)}; run teach.py {name} anew")
    return found


def probabilities(logits):
    """Logits `[N, 15]` -> probabilities, each head summing to one."""
    return torch.cat([logits[:, :SPLIT].softmax(1), logits[:, SPLIT:].softmax(1)], 1)


def cross_entropy(logits, distribution, known):
    """Mean cross-entropy against distributions over the rows that have one."""
    rows = -(distribution * F.log_softmax(logits, 1)).sum(1)
    return rows[known].sum() / known.sum().clamp(min=1)


def accuracy(logits, labels):
    known = labels >= 0
    return (logits[known].argmax(1) == labels[known]).float().mean().item()
