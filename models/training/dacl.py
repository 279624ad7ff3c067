"""DACL, deep attentive centre loss (Farzaneh & Qi, WACV 2021), on ResNet-18, from its description.

    L = cross-entropy + lam / 2N * sum over images i and features j of a_ij (x_ij - c_ij)^2

x is the mean of the trunk's map, c the centre of the image's class, and a in (0, 1) the attention that a context encoder
reads off the same map: how much each feature counts. The centres follow by their own rule after every step (`towards`);
they are a buffer, so the averaged weights hold averaged centres.

Two heads, one centre loss: the centres are FERPlus' eight classes, and only images with a majority are pulled. The two
label sets disagree on a third of the images, so a second set of centres would pull the same features elsewhere, and
distances are served for FERPlus labels. FER2013's head has its cross-entropy alone. N counts the images that are pulled.
"""

import torch
from torch import nn

import objective
import targets
from resnet18 import SIZE as SIZE
from resnet18 import WIDTH, Trunk, side

TASK = "expression"
SYSTEM = "DACL"
RECIPE = dict(epochs=20, lr=5e-4, weight_decay=0.05, batch=64)
FRESH = ("head.", "context.", "centres")
CENTRES = len(targets.EXPRESSIONS)


def unit(inputs, outputs, kernel, activation):
    """A fully connected layer over a map of `kernel` x `kernel` cells, as the convolution that it is, so that it folds."""
    return nn.Conv2d(inputs, outputs, kernel), nn.BatchNorm2d(outputs), activation


class Context(nn.Sequential):
    """The trunk's map `[B, 512, s, s]` -> 1024 numbers, two per feature.

    As published, with 512 s instead of 3584 = 512 * 7 for the map of s x s cells; or `cheap`, 64 channels first.
    """

    def __init__(self, cells, cheap):
        first = [nn.Conv2d(WIDTH, 64, 1)] if cheap else []
        wide = WIDTH if cheap else WIDTH * cells
        middle = () if cheap else unit(wide, WIDTH, 1, nn.ReLU())
        super().__init__(
            *first,
            *unit(64 if cheap else WIDTH, wide, cells, nn.ReLU()),
            *middle,
            *unit(WIDTH, 64, 1, nn.Tanh()),
            nn.Conv2d(64, 2 * WIDTH, 1),
        )
        for module in self:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
                nn.init.zeros_(module.bias)


class Dacl(nn.Module):
    """`[B, 1, 64, 64]` in -1..1 -> evidence maps; `read` gives what DACL has beside them."""

    EXTRAS = ("embedding", "attention", "distances", "attentive_evidence")
    EXPLANATIONS = ("attention",)
    EXPLAINS = {"attentive_evidence": "attention"}

    def __init__(self, classes=15, pool=False, context="cheap", below=0, dilated=False):
        super().__init__()
        if context not in ("cheap", "published"):
            raise ValueError(f'Cannot build the context "{context}": use cheap or published')
        self.trunk, self.head = Trunk(1, pool, below, dilated), nn.Conv2d(WIDTH, classes, 1)
        self.context = Context(side(pool, dilated), context == "cheap")
        self.register_buffer("centres", nn.init.kaiming_normal_(torch.empty(WIDTH, CENTRES)).T.contiguous())

    def forward(self, x):
        return self.head(self.trunk(x))

    def attention(self, features):
        """The second of each feature's pair of softmax outputs `[B, 512]`."""
        pairs = self.context(features).flatten(1).view(-1, WIDTH, 2)
        return torch.sigmoid(pairs[:, :, 1] - pairs[:, :, 0])

    def read(self, x):
        """Evidence of all classes; embedding and attention `[B, 512]`; distances `[B, 8]`; attentive evidence of the
        served classes `[B, 8, s, s]`: features weighted by attention, the pull of each on the logit.
        """
        features = self.trunk(x)
        embedding, attention = features.mean((2, 3)), self.attention(features)
        away = (embedding[:, None] - self.centres).square()
        attentive = features * attention[:, :, None, None]
        return (
            self.head(features),
            embedding,
            attention,
            (attention[:, None] * away).sum(2),
            nn.functional.conv2d(attentive, self.head.weight[:CENTRES]),
        )


def sparse_centre_loss(x, a, centres, labels):
    """Features and attention `[N, D]`, centres `[K, D]`, labels `[N]`; the centres get no gradient."""
    return (a * (x - centres.detach()[labels]).square()).sum() / (2 * max(1, len(x)))


def towards(x, a, centres, labels):
    """Which way every centre goes: the sum of a (x - c) over its class's images, over one more than their count.

    Neither lam nor N comes in, so a centre follows its class however few images a batch has of it.
    """
    pull = torch.zeros_like(centres).index_add_(0, labels, a * (x - centres[labels]))
    return pull / (1 + torch.bincount(labels, minlength=len(centres)))[:, None]


class Objective(objective.Objective):
    """`lam` weighs the centre loss (0: plain softmax), `rate` moves the centres; without `attention` every a is 1, the
    centre loss of Wen et al. 2016. Nothing in the loss keeps a from shrinking to 0, where it costs nothing, so under a
    mean of `floor` a penalty pushes back; above, it is zero, and the loss is the paper's.
    """

    def __init__(self, net, data, lam=0.01, rate=0.5, attention=True, floor=0.1):
        super().__init__(net, data)
        self.lam, self.rate, self.floor, self.attentive = lam, rate, floor, attention and lam > 0
        self.seen, self.centred, self.pending = objective.Spread(), objective.Spread(), None

    def loss(self, inputs, index, epoch):
        features = self.net.trunk(inputs)
        loss = self.data.loss(objective.on_cpu(self.net.head(features)), index)
        labels = self.data.majority[index].to(features.device)
        known = labels >= 0
        x, labels = features.mean((2, 3))[known].float(), labels[known]
        a = torch.ones_like(x)
        if self.attentive:
            attention = self.net.attention(features).float()
            a = attention[known]
            self.seen.add(attention)
            loss = loss + (self.floor - attention.mean()).clamp(min=0).cpu()
        centred = sparse_centre_loss(x, a, self.net.centres, labels)
        self.centred.add(centred)
        self.pending = x.detach(), a.detach(), labels
        return loss + self.lam * centred.cpu() if self.lam > 0 else loss

    @torch.no_grad()
    def step(self):
        x, a, labels = self.pending
        self.net.centres += self.rate * towards(x, a, self.net.centres, labels)

    def report(self):
        return self.seen.report("attention") | self.centred.report("centreLoss")

    def state(self):
        return {"seen": self.seen.state(), "centred": self.centred.state()}

    def restore(self, state):
        self.seen.restore(state["seen"])
        self.centred.restore(state["centred"])


def build(classes=15, pool=False, context="cheap", below=0, dilated=False):
    return Dacl(classes, pool, context, below, dilated)
