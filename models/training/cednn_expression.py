"""CEDNN's trunk trained on expressions, as a start for the action units; the maps stay out."""

from torch import nn

import cednn

TASK = "expression"
SYSTEM = cednn.SYSTEM
SIZE = cednn.SIZE
RECIPE = dict(epochs=4, lr=4e-3, weight_decay=0.05, batch=64)


class CednnExpression(nn.Module):
    """`[B, 1, 48, 48]` in -1..1 -> evidence maps `[B, classes, 3, 3]`."""

    def __init__(self, classes, dense=False):
        super().__init__()
        kind = (1, cednn.DENSE) if dense else ()
        self.trunk = cednn.Trunk([("none", ())] * len(cednn.WIDTHS), *kind)
        self.head = nn.Conv2d(cednn.WIDTHS[-1], classes, 1)

    def forward(self, x):
        return self.head(self.trunk(x))


def build(classes=15, dense=False):
    return CednnExpression(classes, dense)
