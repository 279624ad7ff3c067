"""Expression recognition with two heads on one trunk: FERPlus (8) and FER2013 (7).

The two label sets agree on only two images in three, so one trunk serves both and each head is
trained and reported on its own labels. A network returns evidence maps `[B, 15, h, w]`; logits are
their spatial means, 0..7 FERPlus, 8..14 FER2013.
"""

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
        self.size = size
        self.images = torch.from_numpy(arrays["images"][keep])
        self.ferplus = torch.from_numpy(targets.soft(arrays["votes"][keep]))
        self.majority = torch.from_numpy(targets.majority(arrays["votes"][keep]))
        self.fer2013 = torch.from_numpy(arrays["fer2013"][keep])

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
        known = soft.sum(1) > 0
        ferplus = -(soft * F.log_softmax(logits[:, :SPLIT], 1)).sum(1).sum() / known.sum().clamp(min=1)
        fer2013 = F.cross_entropy(logits[:, SPLIT:], hard, ignore_index=-1)
        return ferplus + fer2013

    def metrics(self, logits):
        """Accuracy on the majority FERPlus labels and on FER2013, from logits `[N, 15]`."""
        return {
            "ferplus": accuracy(logits[:, :SPLIT], self.majority),
            "fer2013": accuracy(logits[:, SPLIT:], self.fer2013),
        }

    @staticmethod
    def predict(outputs):
        return outputs.mean((2, 3))


def accuracy(logits, labels):
    known = labels >= 0
    return (logits[known].argmax(1) == labels[known]).float().mean().item()
