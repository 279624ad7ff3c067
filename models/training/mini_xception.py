"""mini-Xception (Arriaga, Valdenegro-Toro, Ploeger 2017, arXiv 1710.07557).

Gray 64x64 in; four residual modules of depthwise separable convolutions; a 3x3 convolution to
the classes whose spatial mean is the logit, so its 4x4 map decomposes the logit exactly.
Padding follows TensorFlow's "same", which the published weights were trained with.
"""

from torch import nn

TASK = "expression"
SYSTEM = "mini-Xception"
SIZE = 64
RECIPE = dict(epochs=100, lr=5e-3, weight_decay=0.01, batch=64)


class Separable(nn.Sequential):
    """Depthwise 3x3, then pointwise 1x1; nothing in between."""

    def __init__(self, inputs, outputs):
        super().__init__(
            nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False),
            nn.Conv2d(inputs, outputs, 1, bias=False),
        )


class SamePool(nn.Module):
    """3x3 stride-2 max pooling with TensorFlow's "same" padding for a known input size."""

    def __init__(self, size):
        super().__init__()
        odd = size % 2 == 1
        self.pool = nn.MaxPool2d(3, 2, padding=1 if odd else 0, ceil_mode=not odd)

    def forward(self, x):
        return self.pool(x)


class Module(nn.Module):
    def __init__(self, inputs, outputs, size):
        super().__init__()
        self.main = nn.Sequential(
            Separable(inputs, outputs),
            norm(outputs),
            nn.ReLU(),
            Separable(outputs, outputs),
            norm(outputs),
            SamePool(size),
        )
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), norm(outputs))

    def forward(self, x):
        # Slicing, not stride: the same result, and torch's strided 1x1 backward can crash on CPU.
        return self.main(x) + self.shortcut(x[:, :, ::2, ::2])


def norm(channels):
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class MiniXception(nn.Module):
    """`[B, 1, 64, 64]` in -1..1 -> evidence maps `[B, classes, 4, 4]`."""

    def __init__(self, classes=15, size=SIZE):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 8, 3, bias=False), norm(8), nn.ReLU(), nn.Conv2d(8, 8, 3, bias=False), norm(8), nn.ReLU()
        )
        modules, inputs, side = [], 8, size - 4
        for outputs in (16, 32, 64, 128):
            modules.append(Module(inputs, outputs, side))
            inputs, side = outputs, (side + 1) // 2
        self.trunk = nn.Sequential(*modules)
        self.head = nn.Conv2d(128, classes, 3, padding=1)

    def forward(self, x):
        return self.head(self.trunk(self.stem(x)))


def build(classes=15):
    return MiniXception(classes)
