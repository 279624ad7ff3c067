"""Our landmark net: gray 64x64 -> five points and presence, dense 3x3 convolutions on small maps."""

from torch import nn

TASK = "landmarks"
SYSTEM = "Mien"
SIZE = 64
RECIPE = dict(epochs=18, lr=3e-3, weight_decay=0.01, batch=128)


class Conv(nn.Sequential):
    def __init__(self, inputs, outputs, stride):
        super().__init__(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


class LandmarkNet(nn.Module):
    """`[B, 1, 64, 64]` in -1..1 -> points `[B, 10]` (x0, y0, ... in 0..1 of the crop) and a presence logit `[B, 1]`."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(
            Conv(1, 16, 2), Conv(16, 28, 2), Conv(28, 28, 1), Conv(28, 48, 2), Conv(48, 48, 1), Conv(48, 64, 2)
        )
        self.points = nn.Linear(64 * 4 * 4, 10)
        self.presence = nn.Linear(64 * 4 * 4, 1)
        nn.init.constant_(self.points.bias, 0.5)

    def forward(self, x):
        features = self.trunk(x).flatten(1)
        return self.points(features), self.presence(features)


def build():
    return LandmarkNet()
