"""Perceived gender presentation on UTKFace, two labels.

The label is what annotators and an age-and-gender estimator saw in a picture, not what anybody is. The set's own
numbers run the other way round than IMDB-WIKI's, so only its words are read. "train" and "valid" are our own split:
one tenth is held out, the same share of every age decade, gender and ethnicity.
"""

import numpy as np
import torch
import torch.nn.functional as F

import augment
import crops
import prepare
from task_expression import accuracy

LABELS = ["woman", "man"]
WORDS = ["female", "male"]  # the table's, in the order of LABELS
SEED = 1
SHARE = 10  # one in so many is held out
CHUNK = 1024


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


class Gender:
    def __init__(self, split, size, data=prepare.DATA, limit=None):
        arrays = prepare.load("utkface", data)
        rows = np.flatnonzero(held_out(arrays) == (split == "valid"))[:limit]
        self.size = size
        self.images = torch.cat([crops.gray(tiles) for tiles in torch.from_numpy(arrays["images"][rows]).split(CHUNK)])
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
        return F.cross_entropy(outputs.mean((2, 3)), self.labels[index])

    def metrics(self, logits):
        return {"gender": accuracy(logits, self.labels)}

    @staticmethod
    def predict(outputs):
        return outputs.mean((2, 3))
