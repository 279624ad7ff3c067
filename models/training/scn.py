"""SCN, self-cure network (Wang et al., CVPR 2020, arXiv 2002.10392), on ResNet-18, from its description.

An importance alpha in (0, 1) multiplies an image's logits, so that a doubtful image pulls less; alphas are ranked in the
batch, and the mean of the high group must lead that of the low one by `delta1`; late in training an image whose given
label is `delta2` less probable than the best one is relabelled.

Each head has its own alpha, ranking and labels: an image can be clear to FERPlus' ten annotators and mislabelled in
FER2013, and what is served speaks of FERPlus. FERPlus' targets stay distributions of votes for the cross-entropy; the
given label is the strongest vote (of equal ones the more probable), for a share of the votes would always fall short of
the best class. A relabelled image has one label.
"""

import torch
from torch import nn

import objective
from resnet18 import SIZE as SIZE
from resnet18 import WIDTH, Trunk
from task_expression import CLASSES, SPLIT

TASK = "expression"
SYSTEM = "SCN"
RECIPE = dict(epochs=30, lr=5e-4, weight_decay=0.05, batch=64)
FRESH = ("head.", "importance.", "margin")
HEADS = {"ferplus": slice(0, SPLIT), "fer2013": slice(SPLIT, CLASSES)}  # columns of the logits, by the labels' names


class Scn(nn.Module):
    """`[B, 1, 64, 64]` in -1..1 -> evidence maps, weighted by importance; `read` gives the served head's alpha too."""

    EXTRAS = ("alpha",)

    def __init__(self, pool=False, below=0, dilated=False):
        super().__init__()
        self.trunk, self.head = Trunk(1, pool, below, dilated), nn.Conv2d(WIDTH, CLASSES, 1)
        self.importance = nn.Linear(WIDTH, len(HEADS))
        self.margin = nn.Parameter(torch.tensor(0.15), requires_grad=False)  # delta1

    def weighted(self, x):
        """Evidence `[B, 15, s, s]` and the alphas of both heads `[B, 2]`."""
        features = self.trunk(x)
        alpha = torch.sigmoid(self.importance(features.mean((2, 3))))
        maps = self.head(features)
        parts = [maps[:, columns] * alpha[:, k, None, None, None] for k, columns in enumerate(HEADS.values())]
        return torch.cat(parts, 1), alpha

    def forward(self, x):
        return self.weighted(x)[0]

    def read(self, x):
        maps, alpha = self.weighted(x)
        return maps, alpha[:, :1]


def split_by_rank(alpha, beta):
    """Indices of the high and the low group: `beta` of the images, rounded down but never none or all, and the rest."""
    order = alpha.argsort(descending=True, stable=True)
    count = min(max(1, int(beta * len(alpha))), len(alpha) - 1)
    return order[:count], order[count:]


def rank_loss(alpha, margin, beta):
    """How much the high group's mean fails to lead the low one's by the margin."""
    high, low = split_by_rank(alpha, beta)
    return (margin - (alpha[high].mean() - alpha[low].mean())).clamp(min=0)


def doubted(probabilities, given, delta2):
    """Which images' given label is more than `delta2` less probable than the best."""
    return probabilities.max(1).values - probabilities.gather(1, given[:, None])[:, 0] > delta2


def strongest(labels, logits):
    """Single labels `[N]`: as they are, or of votes `[N, K]` the strongest, of equal ones the more probable; -1 for none."""
    if labels.ndim == 1:
        return labels
    top = labels == labels.max(1, keepdim=True).values
    return torch.where(labels.sum(1) > 0, logits.masked_fill(~top, -torch.inf).argmax(1), -1)


class Objective(objective.Objective):
    """`gamma` * rank loss + (1 - `gamma`) * cross-entropy of the weighted logits, summed over heads.

    `delta1` fixed or with `learn` a weight of the network (whose gradient only ever shrinks it, until the loss rests);
    relabelling from epoch `relabel` on (1 is the first; 0 never): by the paper's `rule` of the low group only, by the
    code's of every image.
    """

    def __init__(self, net, data, gamma=0.5, beta=0.7, delta1=0.15, learn=False, delta2=0.2, relabel=10, rule="paper"):
        super().__init__(net, data)
        if rule not in ("paper", "code"):
            raise ValueError(f'Cannot relabel by the rule "{rule}": use paper or code')
        self.gamma, self.beta, self.delta2, self.relabel, self.rule = gamma, beta, delta2, relabel, rule
        with torch.no_grad():
            net.margin.fill_(delta1)
        net.margin.requires_grad_(learn)
        self.edits = []  # epoch, head, image, label before, label after; the log from which labels are built again
        self.spreads = {name: objective.Spread() for name in HEADS}
        self.leads = {name: objective.Spread() for name in HEADS}

    def loss(self, inputs, index, epoch):
        maps, alpha = objective.on_cpu(self.net.weighted(inputs))
        margin, ranked = self.net.margin.cpu(), 0.0
        loss = self.data.loss(maps, index)
        logits = maps.detach().mean((2, 3))
        for k, (name, columns) in enumerate(HEADS.items()):
            known = (self.given(name, index, logits[:, columns]) >= 0).nonzero()[:, 0]
            if len(known) < 2:
                continue
            mine = alpha[known, k]
            ranked = ranked + rank_loss(mine, margin, self.beta)
            high, low = split_by_rank(mine.detach(), self.beta)
            self.spreads[name].add(mine)
            self.leads[name].add(mine[high].mean() - mine[low].mean())
            if 0 < self.relabel <= epoch + 1:
                chosen = known[low] if self.rule == "paper" else known
                self.cure(name, index[chosen], logits[chosen][:, columns], epoch)
        return self.gamma * ranked + (1 - self.gamma) * loss

    def given(self, name, index, logits):
        """Labels that are stored now, -1 where there is none `[N]`."""
        return strongest(getattr(self.data, name)[index], logits)

    def cure(self, name, index, logits, epoch):
        given = self.given(name, index, logits)
        at = doubted(logits.softmax(1), given, self.delta2)
        head = list(HEADS).index(name)
        new = logits.argmax(1)
        for image, before, after in zip(index[at].tolist(), given[at].tolist(), new[at].tolist()):
            self.edits.append([epoch + 1, head, image, before, after])
            self.write(head, image, after)

    def write(self, head, image, label):
        if head == 0:
            self.data.ferplus[image] = nn.functional.one_hot(torch.tensor(label), SPLIT).float()
        else:
            self.data.fer2013[image] = label

    def report(self):
        figures = {"delta1": round(self.net.margin.item(), 4), "edits": len(self.edits)}
        for name in HEADS:
            figures |= self.spreads[name].report(f"{name}Alpha") | self.leads[name].report(f"{name}Lead")
        return figures

    def state(self):
        return {
            "edits": torch.tensor(self.edits, dtype=torch.int32).view(-1, 5),
            "spreads": {name: spread.state() for name, spread in self.spreads.items()},
            "leads": {name: spread.state() for name, spread in self.leads.items()},
        }

    def restore(self, state):
        """Writes every edit again, in order, over the labels as they were read."""
        self.edits = state["edits"].tolist()
        for _, head, image, _, after in self.edits:
            self.write(head, image, after)
        for part in ("spreads", "leads"):
            for name, spread in getattr(self, part).items():
                spread.restore(state[part][name])


def build(pool=False, below=0, dilated=False):
    return Scn(pool, below, dilated)
