"""Our flagship: a small residual net of dense 3x3 convolutions with class evidence maps.

Dense convolutions are what single-thread WASM runs best (and int8 speeds up), so this spends its
time where mini-Xception's depthwise layers cannot. The recipe is otherwise mini-Xception's: max
pooling in every module, no activation after the add, a 3x3 convolution to the classes whose
spatial mean is the logit.
"""

import torch.nn.functional as F
from torch import nn

import widen
from mini_xception import SamePool, norm

TASK = "expression"
SYSTEM = "Mien"
SIZE = 48
RECIPE = dict(epochs=48, lr=3e-3, weight_decay=0.05, batch=64)
WIDTHS = (16, 24, 48, 96, 160)  # of the stem's two convolutions and the modules
adapt = widen.widen  # what train.py --start does to weights of a narrower net


class Module(nn.Module):
    def __init__(self, inputs, outputs, size):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            norm(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            norm(outputs),
            SamePool(size),
        )
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), norm(outputs))

    def forward(self, x):
        if self.training:
            # Slicing, not stride: the same result, and torch's strided 1x1 backward can crash on CPU.
            return self.main(x) + self.shortcut(x[:, :, ::2, ::2])
        conv, normalise = self.shortcut
        return self.main(x) + normalise(F.conv2d(x, conv.weight, stride=2))


class MienNet(nn.Module):
    """`[B, 1, 48, 48]` in -1..1 -> evidence maps `[B, classes, 3, 3]`."""

    def __init__(self, classes=15, widths=WIDTHS, size=SIZE):
        super().__init__()
        first, second, *rest = widths
        self.stem = nn.Sequential(
            nn.Conv2d(1, first, 3, padding=1, bias=False),
            norm(first),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, 2, padding=1, bias=False),
            norm(second),
            nn.ReLU(),
        )
        modules, inputs, side = [], second, size // 2
        for outputs in rest:
            modules.append(Module(inputs, outputs, side))
            inputs, side = outputs, (side + 1) // 2
        self.trunk = nn.Sequential(*modules)
        self.head = nn.Conv2d(inputs, classes, 3, padding=1)

    def forward(self, x):
        return self.head(self.trunk(self.stem(x)))


def build(classes=15, widths=WIDTHS):
    return MienNet(classes, widths)
