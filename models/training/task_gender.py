"""Perceived gender presentation on UTKFace, two labels.

The label is what an algorithm guessed and an annotator saw in a picture, not what anybody is. The set's own
numbers run the other way round than IMDB-WIKI's, so only its words are read. "train" and "valid" are our own split:
one tenth is held out, the same share of every age decade, gender and ethnicity. The set holds pictures twice and more
(one held-out picture in twelve has a copy among the others), so copies of held-out pictures are left out of training.
"""

import numpy as np
import torch
import torch.nn.functional as F

import augment
import crops
import prepare
from task_expression import accuracy, cross_entropy, taught

LABELS = ["woman", "man"]
WORDS = ["female", "male"]  # the table's, in the order of LABELS
SEED = 1
SHARE = 10  # one in so many is held out
COPY = 0.95  # correlation at 16x16 from which two pictures count as copies
CHUNK = 1024
TEMPLATE = prepare.HERE / "template_utkface.json"


def strata(arrays):
    """One number per row `[N]`; equal where age decade, gender and ethnicity are."""
    columns = [arrays["age"] // 10, arrays["gender"], arrays["ethnicity"]]
    codes = np.stack([np.unique(column, return_inverse=True)[1] for column in columns], 1)
    return np.unique(codes, axis=0, return_inverse=True)[1].ravel()


def held_out(arrays):
    """Which rows stay out of training, bool `[N]`: every tenth of a random order sorted by stratum."""
    rng = np.random.default_rng(SEED)
    groups = strata(arrays)
    order = rng.permutation(len(groups))
    order = order[np.argsort(groups[order], kind="stable")]
    held = np.zeros(len(groups), dtype=bool)
    held[order[rng.integers(SHARE) :: SHARE]] = True
    return held


def copies(images, others):
    """Which of the gray pictures `[N, H, W]` are among the others, as they are or mirrored, bool `[N]`."""
    small = lambda tiles: F.adaptive_avg_pool2d(tiles[:, None].float(), 16)[:, 0]
    unit = lambda tiles: F.normalize((tiles - tiles.mean((1, 2), keepdim=True)).flatten(1))
    known = unit(torch.cat([small(others), small(others).flip(2)])).T
    return torch.cat([(unit(small(tiles)) @ known).amax(1) > COPY for tiles in images.split(CHUNK)])


class Gender:
    HEADS = {"logits": ("UTKFace, held-out tenth, 2 classes", LABELS, "labels")}
    TEMPLATE = TEMPLATE
    DATA_LICENSE = "research: UTKFace (Zhang et al. 2017), non-commercial research use"
    PEOPLE = True

    def __init__(self, split, size, data=prepare.DATA, limit=None):
        arrays = prepare.load("utkface", data)
        images = torch.cat([crops.gray(tiles) for tiles in torch.from_numpy(arrays["images"]).split(CHUNK)])
        held = torch.from_numpy(held_out(arrays))
        keep = held if split == "valid" else ~held
        if split == "train":
            keep[~held] = ~copies(images[~held], images[held])
        rows = keep.nonzero()[:limit, 0].numpy()
        self.data, self.size, self.rows, self.images = data, size, rows, images[rows]
        self.limit, self.teacher, self.teacher_weight = limit, None, 0.0
        self.labels = torch.tensor([WORDS.index(word) for word in arrays["gender"][rows]])
        self.age, self.ethnicity = arrays["age"][rows], arrays["ethnicity"][rows]

    def __len__(self):
        return len(self.images)

    def batch(self, index, gen=None):
        """Inputs `[B, 1, size, size]` in -1..1; augmented when a generator is given."""
        tiles = self.images[index]
        if gen is None:
            return augment.normalise(augment.plain(tiles, self.size))
        return augment.normalise(augment.photometric(augment.warp(tiles, self.size, gen), gen, erase=0))

    def loss(self, outputs, index):
        logits = outputs.mean((2, 3))
        labelled = F.cross_entropy(logits, self.labels[index])
        if self.teacher is None:
            return labelled
        answers = self.teacher[index]
        learned = cross_entropy(logits, answers, torch.ones(len(answers), dtype=torch.bool))
        return (1 - self.teacher_weight) * labelled + self.teacher_weight * learned

    def learn_from(self, teacher, weight):
        """Mix a teacher's answers (`teach.py`) into the labels: `weight` of the loss is the teacher's."""
        self.teacher, self.teacher_weight = taught(teacher, self, len(LABELS))["answers"][: len(self)], weight

    def metrics(self, logits):
        return {"gender": accuracy(logits, self.labels)}

    def groups(self):
        """Every row's group by age decade, of age or not, and ethnicity, in the table's words."""
        decade = np.minimum(self.age // 10, 8) * 10
        return {
            "age": np.array(["80 and over" if d == 80 else f"{d:02}-{d + 9:02}" for d in decade]),
            "age, in two": np.where(self.age < 20, "under 20", "20 and over"),
            "ethnicity": self.ethnicity,
        }

    def pictures(self):
        """The tiles in colour `[N, H, W, 3]`, as a photo would hold them."""
        return prepare.load("utkface", self.data)["images"][self.rows]

    def protocol(self):
        """What the split came to, for the card; asked of "valid"."""
        training = Gender("train", self.size, self.data)
        others = np.setdiff1d(np.arange(len(prepare.load("utkface", self.data)["age"])), self.rows)
        return {"training": len(training), "heldOut": len(self), "copiesLeftOut": len(others) - len(training)}

    @staticmethod
    def predict(outputs):
        return outputs.mean((2, 3))

    @staticmethod
    def probabilities(logits):
        return logits.softmax(1)
