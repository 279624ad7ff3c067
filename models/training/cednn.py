"""CEDNN (Chen, Wang, Wang, Liu 2020, arXiv 2011.12082): action units from a face and its difference to the neutral.

A labelled reconstruction: the full text was not at hand. What the abstracts fix is kept: five binary difference maps
from image processing, fed selectively into the blocks of a small net of grouped and 1x1 convolutions with skips, one
classifier whose width alone depends on the number of units. Sizes, thresholds, the signed difference as a sixth map
and the way maps are fed are ours.
"""

import torch
from torch import nn

import difference_maps
from mini_xception import norm

TASK = "actionUnits"
SYSTEM = "CEDNN (reconstruction)"
SIZE = 48
RECIPE = dict(epochs=20, lr=2e-3, weight_decay=0.05, batch=32, ema=0.98)
NEW = ("trunk.feeds.", "head.")  # what a start from expression training leaves as it is

ALL = (0, 1, 2, 3, 4, 5)  # five binary maps by rising threshold, then the signed difference
# Per block: how the maps enter its input (none, add, gate, concat), and which.
FEED = (("add", ALL), ("add", ALL), ("add", ALL), ("none", ()), ("none", ()))
WIDTHS = (48, 64, 96, 128, 192)
STRIDES = (2, 1, 2, 1, 2)
DENSE = (
    22,
    31,
    46,
    61,
    91,
)  # middle widths of the blocks with which dense convolutions have as many weights as grouped ones


class Feed(nn.Module):
    """Maps `[B, 6, S, S]`, averaged down to the features' size, into features `[B, C, H, W]`; zero maps change nothing."""

    def __init__(self, mode, chosen, channels, scale):
        super().__init__()
        self.mode, self.chosen = mode, list(chosen)
        self.pool = nn.AvgPool2d(scale)
        if mode in ("add", "gate"):
            self.mix = nn.Conv2d(len(chosen), channels, 1, bias=False)
            nn.init.zeros_(self.mix.weight)
        elif mode not in ("none", "concat"):
            raise ValueError(f"Cannot feed maps by {mode}: use none, add, gate or concat")

    @property
    def extra(self):
        """Channels that feeding adds to the features."""
        return len(self.chosen) if self.mode == "concat" else 0

    def forward(self, x, maps):
        if self.mode == "none":
            return x
        maps = self.pool(maps[:, self.chosen])
        if self.mode == "concat":
            return torch.cat([x, maps], 1)
        return x + self.mix(maps) if self.mode == "add" else x * (1 + self.mix(maps))


class Block(nn.Module):
    """1x1, grouped 3x3, 1x1, and a skip; the stride lies in the 3x3."""

    def __init__(self, inputs, outputs, stride, groups, middle=None):
        super().__init__()
        middle = middle or outputs
        self.stride = stride
        self.main = nn.Sequential(
            nn.Conv2d(inputs, middle, 1, bias=False),
            norm(middle),
            nn.ReLU(),
            nn.Conv2d(middle, middle, 3, stride, padding=1, groups=groups, bias=False),
            norm(middle),
            nn.ReLU(),
            nn.Conv2d(middle, outputs, 1, bias=False),
            norm(outputs),
        )
        self.skip = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), norm(outputs))

    def forward(self, x):
        # Slicing, not stride: the same result, and torch's strided 1x1 backward can crash on CPU.
        return self.main(x) + self.skip(x[:, :, :: self.stride, :: self.stride])


class Trunk(nn.Module):
    """The stem and five blocks; `feeds` says per block what enters beside the features."""

    def __init__(self, feed, groups=8, middles=None):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1, bias=False),
            norm(16),
            nn.ReLU(),
            nn.Conv2d(16, 24, 3, 2, padding=1, bias=False),
            norm(24),
            nn.ReLU(),
        )
        inputs, scale, feeds, blocks = 24, 2, [], []
        for (mode, chosen), outputs, stride, middle in zip(feed, WIDTHS, STRIDES, middles or [None] * len(WIDTHS)):
            feeds.append(Feed(mode, chosen, inputs, scale))
            blocks.append(Block(inputs + feeds[-1].extra, outputs, stride, groups, middle))
            inputs, scale = outputs, scale * stride
        self.feeds, self.blocks = nn.ModuleList(feeds), nn.ModuleList(blocks)

    def forward(self, image, maps=None):
        x = self.stem(image)
        for feed, block in zip(self.feeds, self.blocks):
            x = block(x if maps is None else feed(x, maps))
        return x.relu()


class Cednn(nn.Module):
    """Face and neutral in two planes `[B, 2, 48, 48]` in -1..1 -> logits `[B, units]`."""

    def __init__(self, units, feed=FEED, groups=8, middles=None, dropout=0.3):
        super().__init__()
        self.difference = difference_maps.DifferenceMaps(SIZE)
        self.trunk = Trunk(feed, groups, middles)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(WIDTHS[-1], units)

    def maps(self, face, neutral):
        """The binary maps `[B, 5, 48, 48]`, and all six as the blocks take them."""
        with torch.no_grad():
            binary, signed = self.difference(face, neutral)
        return binary, torch.cat([binary, signed], 1)

    def forward(self, pair):
        face, neutral = pair[:, :1], pair[:, 1:]
        _, maps = self.maps(face, neutral)
        return self.head(self.dropout(self.trunk(face, maps).mean((2, 3))))


def build(units=14, **options):
    return Cednn(units, **options)
