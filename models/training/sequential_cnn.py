"""The first architecture of the mini-Xception paper (arXiv 1710.07557): plain convolutions, no dense layer.

Gray 48x48 in; four pairs of convolutions, each pair with ReLU, average pooling and dropout at its end; two more
convolutions, the last to the classes, whose spatial mean is the logit. With one head of seven classes it has
642,935 parameters, running statistics included.
"""

from torch import nn

from mini_xception import norm

TASK = "expression"
SYSTEM = "mini-Xception's sequential CNN"
SIZE = 48
RECIPE = dict(epochs=60, lr=2e-3, weight_decay=0.01, batch=64)
PAIRS = [(16, 7), (32, 5), (64, 3), (128, 3)]  # channels and kernel


class Pair(nn.Sequential):
    def __init__(self, inputs, outputs, kernel, dropout):
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2),
            norm(outputs),
            nn.Conv2d(outputs, outputs, kernel, padding=kernel // 2),
            norm(outputs),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Dropout(dropout),
        )


class SequentialCnn(nn.Sequential):
    """`[B, 1, 48, 48]` in -1..1 -> evidence maps `[B, classes, 3, 3]`."""

    def __init__(self, classes=15, dropout=0.5):
        channels = [1, *(outputs for outputs, _ in PAIRS)]
        pairs = [Pair(inputs, *pair, dropout) for inputs, pair in zip(channels, PAIRS)]
        super().__init__(*pairs, nn.Conv2d(128, 256, 3, padding=1), norm(256), nn.Conv2d(256, classes, 3, padding=1))


def build(classes=15, dropout=0.5):
    return SequentialCnn(classes, dropout)
