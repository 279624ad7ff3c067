"""MobileNetV1 (Howard et al. 2017, arXiv 1704.04861), width 1, whole or cut, with TensorFlow's padding.

A flat row of units, so that a cut is a number: unit 0 is the first convolution, units 2b - 1 and 2b are the depthwise and
the pointwise half of block b. Each is convolution, batch normalisation, ReLU6.
"""

from torch import nn
from torch.nn import functional as F

from mini_xception import norm

# Channels and stride of the blocks 1 to 13.
BLOCKS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
UNITS = 1 + 2 * len(BLOCKS)


def same(size, kernel, stride):
    """Pixels that TensorFlow's "same" pads before and after a side of `size`: what is odd goes to the end."""
    total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
    return total // 2, total - total // 2


class SameConv(nn.Conv2d):
    """A convolution without bias, padded for inputs of a known side."""

    def __init__(self, inputs, outputs, kernel, size, stride=1, groups=1):
        before, after = same(size, kernel, stride)
        even = before if before == after else 0
        super().__init__(inputs, outputs, kernel, stride, padding=even, groups=groups, bias=False)
        self.pads = () if before == after else (before, after, before, after)

    def forward(self, x):
        return super().forward(F.pad(x, self.pads) if self.pads else x)


class Unit(nn.Sequential):
    def __init__(self, conv):
        super().__init__(conv, norm(conv.out_channels), nn.ReLU6())


def units(size, planes=3):
    """All units for pictures of `size` pixels a side, and each one's channels and side."""
    made, shapes, channels, side = [Unit(SameConv(planes, 32, 3, size, 2))], [(32, -(-size // 2))], 32, -(-size // 2)
    for outputs, stride in BLOCKS:
        made.append(Unit(SameConv(channels, channels, 3, side, stride, groups=channels)))
        side = -(-side // stride)
        made.append(Unit(SameConv(channels, outputs, 1, side)))
        shapes += [(channels, side), (outputs, side)]
        channels = outputs
    return made, shapes


class MobileNet(nn.Module):
    """RGB `[B, 3, size, size]` in -1..1 -> logits `[B, 1001]`; class 0 is the background."""

    def __init__(self, size=224, classes=1001):
        super().__init__()
        self.trunk = nn.Sequential(*units(size)[0])
        self.head = nn.Linear(1024, classes)

    def forward(self, x):
        return self.head(self.trunk(x).mean((2, 3)))
