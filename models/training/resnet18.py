"""ResNet-18 (He et al. 2015) with two heads and nothing else: the trunk of DACL and SCN, and what both start from.

Gray 64x64. The tiles are 48 pixels, so a larger input adds cost and no detail; and the stem's max pooling, which would
leave 2x2 cells of so small a picture, is left out by default (`pool`): 4x4 cells for the same weights at four times the
work. With it, `dilated` gives 4x4 cells at 1.7 times the work: the last stage skips no cell and its later kernels reach
twice as far, so that every second cell is what it was (Yu & Koltun 2017, arXiv 1705.09914). The 1x1 convolution to the
classes is the usual linear layer after the mean, so its maps are exact evidence.
"""

from collections import OrderedDict

from torch import nn

TASK = "expression"
SYSTEM = "ResNet-18"
SIZE = 64
RECIPE = dict(epochs=40, lr=1e-3, weight_decay=0.05, batch=64)
FRESH = ("head.",)  # parts that `train.py --start` may not find in the file
WIDTH = 512


def conv(inputs, outputs, kernel, stride=1, dilation=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2 * dilation, dilation, bias=False)


class Block(nn.Module):
    """The basic block: two 3x3 convolutions beside a shortcut, ReLU after the sum. `reach` dilates either convolution."""

    def __init__(self, inputs, outputs, stride, reach=(1, 1)):
        super().__init__()
        self.main = nn.Sequential(
            conv(inputs, outputs, 3, stride, reach[0]),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            conv(outputs, outputs, 3, 1, reach[1]),
            nn.BatchNorm2d(outputs),
        )
        self.stride, self.relu = stride, nn.ReLU()
        same = inputs == outputs and stride == 1
        self.shortcut = None if same else nn.Sequential(conv(inputs, outputs, 1), nn.BatchNorm2d(outputs))

    def forward(self, x):
        if self.shortcut is None:
            return self.relu(self.main(x) + x)
        # Slicing, not stride: the same result, and torch's strided 1x1 backward can crash on CPU.
        return self.relu(self.main(x) + self.shortcut(x[:, :, :: self.stride, :: self.stride]))


class Trunk(nn.Sequential):
    """`[B, channels, S, S]` -> features `[B, 512, S / 16, S / 16]`, with `pool` S / 32 unless `dilated`; 11,176,512 weights
    in colour.

    Without its first `below` parts, which keep their names: its input is then the map that they give.
    """

    def __init__(self, channels=1, pool=False, below=0, dilated=False):
        widths = [(64, 1), (128, 2), (256, 2), (WIDTH, 2)]
        blocks, inputs = [], 64
        for outputs, stride in widths:
            blocks += [Block(inputs, outputs, stride), Block(outputs, outputs, 1)]
            inputs = outputs
        if dilated:
            blocks[-2:] = Block(256, WIDTH, 1, (1, 2)), Block(WIDTH, WIDTH, 1, (2, 2))
        stem = [conv(channels, 64, 7, 2), nn.BatchNorm2d(64), nn.ReLU()]
        parts = [*stem, nn.MaxPool2d(3, 2, 1) if pool else nn.Identity(), *blocks]
        super().__init__(OrderedDict((str(i), part) for i, part in enumerate(parts) if i >= below))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def side(pool, dilated=False, size=SIZE):
    """How many cells a side of the trunk's map has."""
    return size // (16 * (1 + pool) // (1 + dilated))


class ResNet18(nn.Module):
    """`[B, 1, 64, 64]` in -1..1 -> evidence maps `[B, classes, 4, 4]`, with `pool` 2x2 unless `dilated`."""

    def __init__(self, classes=15, pool=False, below=0, dilated=False):
        super().__init__()
        self.trunk, self.head = Trunk(1, pool, below, dilated), nn.Conv2d(WIDTH, classes, 1)

    def forward(self, x):
        return self.head(self.trunk(x))


def build(classes=15, pool=False, below=0, dilated=False):
    return ResNet18(classes, pool, below, dilated)
