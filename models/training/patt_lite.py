"""PAtt-Lite (Ngwe et al. 2023, arXiv 2306.09626): MobileNetV1 cut in its ninth block, patch extraction, attention.

The published layer attends across the batch: every image is mixed with its neighbours. Here the attention stays inside the
image, over the four tokens of the 2x2 map; parameters are the same. Gray pictures: the first convolution's three planes are
summed, which is exact for a gray picture in three equal planes.

A token's share of the answer is exact: attention is linear in the values, so `evidence` averages to the logit.
"""

import torch
from torch import nn
from torch.nn import functional as F

import imagenet_weights
import mobilenet

TASK = "expression"
SYSTEM = "PAtt-Lite, attention within the image"
SIZE = 96
RECIPE = dict(epochs=9, frozen=1, lr=1e-3, weight_decay=0.05, batch=64)
CUT = 18  # units of MobileNet that are kept: up to the ninth block's depthwise half
STILL = 3  # of them never trained: as the paper does on FERPlus, training begins with the second block
GRID, WIDTH, TOKEN = 4, 256, 32
SIDE = GRID // 2  # of the map of tokens
TOKENS = SIDE * SIDE


class Separable(nn.Sequential):
    """Depthwise over whole patches, then pointwise with bias, then ReLU."""

    def __init__(self, inputs, outputs, patch):
        super().__init__(
            nn.Conv2d(inputs, inputs, patch, patch, groups=inputs, bias=False), nn.Conv2d(inputs, outputs, 1), nn.ReLU()
        )


class Patches(nn.Module):
    """A map of any side -> 4x4 patches of it -> 2x2; the side is padded to a multiple of four as TensorFlow's "same" does."""

    def __init__(self, inputs, side):
        super().__init__()
        patch = -(-side // GRID)
        missing = GRID * patch - side
        self.pads = [missing // 2, missing - missing // 2] * 2
        self.first, self.second = Separable(inputs, WIDTH, patch), Separable(WIDTH, WIDTH, 2)
        self.last = nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 1), nn.ReLU())

    def forward(self, x):
        return self.last(self.second(self.first(F.pad(x, self.pads))))


class Affine(nn.BatchNorm2d):
    """Batch normalisation that stands after a ReLU, where no convolution can take it in: scale and shift in evaluation."""

    def __init__(self, channels):
        super().__init__(channels, eps=1e-3, momentum=0.01)

    def forward(self, x):
        if self.training:
            return super().forward(x)
        scale = self.weight / (self.running_var + self.eps).sqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1)


class Attention(nn.Module):
    """Which tokens each token looks at: `[G, C, T]` -> `[G, T, T]`, rows summing to one.

    Dot-product attention without projections and with one learned scale, as Keras has it; `divide` adds the usual
    division by the root of C.
    """

    def __init__(self, divide=True):
        super().__init__()
        self.scale, self.unit = nn.Parameter(torch.ones(())), TOKEN**-0.5 if divide else 1.0

    def forward(self, tokens):
        return (self.scale * self.unit * (tokens.transpose(1, 2) @ tokens)).softmax(2)


class PattLite(nn.Module):
    """`[B, planes, size, size]` in -1..1 -> evidence maps `[B, classes, 2, 2]` whose mean is the logit."""

    EXTRAS = ("attention", "features")
    EXPLANATIONS = ("attention",)

    def __init__(self, classes=15, size=SIZE, planes=1):
        super().__init__()
        units, shapes = mobilenet.units(size, planes)
        self.trunk = nn.Sequential(*units[:CUT])
        self.patches = Patches(*shapes[CUT - 1])
        self.token = nn.Sequential(nn.Dropout(0.1), nn.Conv2d(WIDTH, TOKEN, 1), nn.ReLU(), Affine(TOKEN))
        self.attention = Attention()
        self.head = nn.Conv2d(TOKEN, classes, 1)

    def forward(self, x):
        return self.read(x)[0]

    def read(self, x):
        """Evidence, how much each token counts `[B, 1, 2, 2]` (its mean over the rows; sums to one), the trunk's last map."""
        features = self.trunk(x)
        tokens = self.token(self.patches(features))
        attention = self.attention(tokens.reshape(-1, TOKEN, TOKENS)).mean(1).view(-1, 1, SIDE, SIDE)
        values = F.conv2d(tokens, self.head.weight)
        return values * (TOKENS * attention) + self.head.bias.view(1, -1, 1, 1), attention, features


def start(net):
    """Begin from ImageNet."""
    stored = {k.removeprefix("trunk."): v for k, v in imagenet_weights.load().items() if k.startswith("trunk.")}
    wanted = net.trunk.state_dict()
    if wanted["0.0.weight"].shape[1] == 1:
        stored["0.0.weight"] = stored["0.0.weight"].sum(1, keepdim=True)
    net.trunk.load_state_dict({key: stored[key] for key in wanted})


def freeze(net, whole):
    """Hold the trunk still, statistics included: the whole of it, or the units that are never trained."""
    for number, unit in enumerate(net.trunk):
        still = whole or number < STILL
        unit.requires_grad_(not still).train(not still)


def build(classes=15):
    return PattLite(classes)
