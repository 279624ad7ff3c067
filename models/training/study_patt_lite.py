"""Small studies of PAtt-Lite, each a table: why the published figures cannot be used, and what its parts bring.

    python study_patt_lite.py leak          # attention across the batch, by the company an image is judged in
    python study_patt_lite.py ablation      # four arms, three seeds
    python study_patt_lite.py layers        # where MobileNet is cut, times the size of a patch
    python study_patt_lite.py patches       # learned patch extraction against attention over plain patches
    python study_patt_lite.py sizes         # the input's side, for tiles of 48 pixels
    python study_patt_lite.py ckplus        # the four arms on CK+, ten folds by subject

Reduced on purpose, and the same for all arms of a study: a fixed subset, few epochs, no augmentation, the lower part of
MobileNet held still so that its maps are computed once. The figures compare arms; they are not what training in full gives.
`leak` and `ckplus` train heads on the trunk of the served model, the others fine-tune from ImageNet. Writes
studies/patt_lite_<study>.json, from which tables.py makes the tables of docs/models.md.
"""

import argparse
import copy
import itertools
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

import augment
import manifest
import mobilenet
import patt_lite
import prepare
import study
import task_expression
import train
import weights

FOLDER = Path(__file__).parent / "studies"
STILL = 11  # units held still where the rest is fine-tuned: through the fifth block
MODEL = "expression_patt_lite"
SUBSET, EPOCHS, BATCH, RATE = 4000, 4, 32, 1e-3
SEEDS = [1, 2, 3]
SIDES = (96, 112, 128, 224)
ARMS = {
    "truncated MobileNet": {},
    "+ patch extraction": {"patches": 2},
    "+ attention": {"attention": "image"},
    "full": {"patches": 2, "attention": "image"},
}


class Patches(nn.Module):
    """Patch extraction with patches of a given side; a second step follows where more than 2x2 are left."""

    def __init__(self, inputs, side, kernel):
        super().__init__()
        before, after = mobilenet.same(side, kernel, kernel)
        if kernel == 2 and side == 6:
            before, after = 1, 1  # as patt_lite.py: four patches a side
        left = (side + before + after) // kernel
        self.pads = [before, after] * 2
        self.first = patt_lite.Separable(inputs, patt_lite.WIDTH, kernel)
        self.second = patt_lite.Separable(patt_lite.WIDTH, patt_lite.WIDTH, 2 if left > 2 else 1)
        self.last = nn.Sequential(nn.Conv2d(patt_lite.WIDTH, patt_lite.WIDTH, 1), nn.ReLU())

    def forward(self, x):
        return self.last(self.second(self.first(F.pad(x, self.pads))))


class Arm(nn.Module):
    """Maps of the part held still -> logits `[B, classes, 1, 1]`.

    `attention` is None, "image" (over 2x2 tokens), "cells" (over every cell of the map) or "batch": each image a token of
    its batch, as published. All arms end alike: 32 features, ReLU, batch normalisation, classes.
    """

    def __init__(self, upper, channels, side, classes=15, patches=None, attention=None):
        super().__init__()
        self.upper = nn.Sequential(*copy.deepcopy(upper))
        self.patches = Patches(channels, side, patches) if patches else nn.Identity()
        width = patt_lite.WIDTH if patches else channels
        self.pool = {"image": nn.AdaptiveAvgPool2d(2), "cells": nn.Identity()}.get(attention, nn.AdaptiveAvgPool2d(1))
        self.dropout = nn.Dropout(0.1)
        self.token = nn.Sequential(nn.Conv2d(width, patt_lite.TOKEN, 1), nn.ReLU(), patt_lite.Affine(patt_lite.TOKEN))
        self.over = attention
        self.attention = patt_lite.Attention(divide=attention != "batch") if attention else None
        self.head = nn.Linear(patt_lite.TOKEN, classes)

    def forward(self, x):
        tokens = self.token(self.dropout(self.pool(self.patches(self.upper(x))))).flatten(2)
        if self.over == "batch":
            company = tokens[:, :, 0]
            tokens = (self.attention(company.T[None])[0] @ company)[:, :, None]
        elif self.over:
            tokens = tokens @ self.attention(tokens).transpose(1, 2)
        return self.head(tokens.mean(2))[:, :, None, None]


@torch.no_grad()
def maps(units, images, size=patt_lite.SIZE, batch=128):
    """What the units give for gray tiles at a side of `size`, in half precision."""
    net = nn.Sequential(*units).eval().to(memory_format=torch.channels_last)
    parts = []
    for some in images.split(batch):
        x = augment.normalise(augment.plain(some, size)).contiguous(memory_format=torch.channels_last)
        parts.append(net(x).half())
    return torch.cat(parts)


def imagenet_units(size=patt_lite.SIZE):
    """All of MobileNet for gray pictures, and each unit's channels and side."""
    units, shapes = mobilenet.units(size, planes=1)
    whole = nn.Module()
    whole.trunk = nn.Sequential(*units)
    patt_lite.start(whole)
    return units, shapes


def fit(arm, inputs, loss, seed, epochs, rate=RATE, batch=BATCH):
    """AdamW under one cosine with warm-up; the order depends on the seed alone."""
    decay = [p for p in arm.parameters() if p.ndim > 1]
    rest = [p for p in arm.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW([{"params": decay, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}])
    per_epoch = len(inputs) // batch
    arm.train().to(memory_format=torch.channels_last)
    for step in range(per_epoch * epochs):
        epoch, position = divmod(step, per_epoch)
        if position == 0:
            order = torch.randperm(len(inputs), generator=augment.generator(seed, epoch))
        index = order[position * batch : (position + 1) * batch]
        for group in optimiser.param_groups:
            group["lr"] = train.learning_rate(step, per_epoch * epochs, rate)
        value = loss(arm(inputs[index].float().contiguous(memory_format=torch.channels_last)), index)
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        optimiser.step()
    return arm.eval()


@torch.no_grad()
def logits(arm, inputs, order=None, batch=256):
    """Logits `[N, classes]`, judged in batches of the given order, put back into the inputs' own."""
    order = torch.arange(len(inputs)) if order is None else order
    found = torch.cat([arm(inputs[index].float())[:, :, 0, 0] for index in order.split(batch)])
    return torch.empty_like(found).index_copy_(0, order, found)


def served_trunk():
    """The trunk of the model that is served, and the hash of the weights it was read from."""
    net = patt_lite.build()
    entry = manifest.entry(MODEL)
    net.load_state_dict(weights.load(manifest.MODELS / entry["weights"]["file"]))
    return net.trunk, entry["weights"]["sha256"]


def fer(args, units, size=patt_lite.SIZE):
    """Training subset and valid of FER2013 as maps."""
    data = task_expression.Expression("train", size, args.data, args.subset)
    valid = task_expression.Expression("valid", size, args.data)
    return data, maps(units, data.images, size), valid, maps(units, valid.images, size)


def leak(args):
    """The published head, judged alone, in shuffled company, and in company of its own class."""
    trunk, sha256 = served_trunk()
    data, inputs, valid, tests = fer(args, trunk)
    heads = {"FERPlus valid, majority": (slice(0, 8), valid.majority), "FER2013 valid": (slice(8, 15), valid.fer2013)}
    found = {}
    for attention, seed in itertools.product(("batch", "image"), args.seeds):
        torch.manual_seed(seed)
        arm = Arm([], 512, 6, patches=2, attention=attention)
        fit(arm, inputs, data.loss, seed, args.epochs)
        by_itself = logits(arm, tests, batch=1)
        for name, (columns, truth) in heads.items():
            known = (truth >= 0).nonzero()[:, 0]
            shuffled = known[torch.randperm(len(known), generator=torch.Generator().manual_seed(seed))]
            by_class = shuffled[truth[shuffled].argsort(stable=True)]
            judged = {
                "alone": (known, by_itself[known]),
                "shuffled 32": (shuffled, logits(arm, tests[shuffled], batch=32)),
                "class by class 32": (by_class, logits(arm, tests[by_class], batch=32)),
            }
            for way, (order, scores) in judged.items():
                right = scores[:, columns].argmax(1) == truth[order]
                found.setdefault((name, attention, way), []).append(right.double().mean().item())
        print(attention, seed, {k[::2]: round(v[-1], 4) for k, v in found.items() if k[1] == attention}, flush=True)
    rows = [{"data": d, "attention": a, "company": w, **study.summary(v)} for (d, a, w), v in found.items()]
    counts = {name: int((truth >= 0).sum()) for name, (_, truth) in heads.items()}
    return {"trunk": sha256, "n": counts, "rows": rows}


def compare(args, arms, cut=patt_lite.CUT, size=patt_lite.SIZE):
    """Accuracy on both label sets of arms that are fine-tuned from ImageNet above the part held still."""
    units, shapes = imagenet_units(size)
    data, inputs, valid, tests = fer(args, units[:STILL], size)
    rows = []
    for name, options in arms.items():
        options = dict(options)
        end = options.pop("cut", cut)
        found = {"ferplus": [], "fer2013": []}
        for seed in args.seeds:
            torch.manual_seed(seed)
            arm = fit(Arm(units[STILL:end], *shapes[end - 1], **options), inputs, data.loss, seed, args.epochs)
            for key, value in valid.metrics(logits(arm, tests)).items():
                found[key].append(value)
            print(name, seed, {k: round(v[-1], 4) for k, v in found.items()}, flush=True)
        rows.append({"arm": name, **{key: study.summary(values) for key, values in found.items()}})
    return {
        "n": {"ferplus": int((valid.majority >= 0).sum()), "fer2013": int((valid.fer2013 >= 0).sum())},
        "rows": rows,
    }


def ablation(args):
    return compare(args, ARMS)


def layers(args):
    """Cut after the depthwise halves of blocks 8, 9 and 10, patches of 1, 2 and 3 cells."""
    arms = {
        f"block {cut // 2}, patches of {kernel}": {"cut": cut, "patches": kernel, "attention": "image"}
        for cut, kernel in itertools.product((16, 18, 20), (1, 2, 3))
    }
    return compare(args, arms)


def patches(args):
    arms = {
        "learned patches, attention over 2x2": {"patches": 2, "attention": "image"},
        "plain patches, attention over 2x2": {"attention": "image"},
        "every cell a patch, attention over 6x6": {"attention": "cells"},
    }
    return compare(args, arms)


def sizes(args):
    """The whole model at several input sides, its patches as large as to be four by four."""
    reports = []
    for size in SIDES:
        side = mobilenet.units(size)[1][patt_lite.CUT - 1][1]
        million = round(multiply_adds(patt_lite.PattLite(size=size), size) / 1e6)
        options = {"patches": -(-side // patt_lite.GRID), "attention": "image"}
        reports.append(compare(args, {f"{size} pixels, {million} million multiply-adds": options}, size=size))
    return {"n": reports[0]["n"], "rows": [row for report in reports for row in report["rows"]]}


def multiply_adds(net, size):
    """Of the convolutions, for one picture."""
    total = 0

    def count(module, _, out):
        nonlocal total
        total += module.weight.numel() * out.shape[2] * out.shape[3]

    hooks = [m.register_forward_hook(count) for m in net.modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        net.eval()(torch.zeros(1, 1, size, size))
    for hook in hooks:
        hook.remove()
    return total


def folds(subjects, count=10):
    """Which fold each row is in: subjects dealt to the emptiest fold, those with most rows first."""
    sizes, of = [0] * count, {}
    names = sorted(set(subjects), key=lambda name: (-sum(s == name for s in subjects), name))
    for name in names:
        of[name] = sizes.index(min(sizes))
        sizes[of[name]] += sum(s == name for s in subjects)
    return torch.tensor([of[name] for name in subjects])


def ckplus(args):
    """Heads on the trunk of the run; three peak frames a sequence, seven classes, nobody on both sides."""
    trunk, sha256 = served_trunk()
    arrays = prepare.load("ckplus", args.data)
    emotions = sorted(set(arrays["emotion"].tolist()))
    images = torch.from_numpy(arrays["frames"][:, 2:].reshape(-1, 48, 48))
    truth = torch.tensor([emotions.index(e) for e in arrays["emotion"]]).repeat_interleave(3)
    of = folds(arrays["subject"].tolist()).repeat_interleave(3)
    inputs, rows = maps(trunk, images), []
    for name, options in ARMS.items():
        found = []
        for seed in args.seeds:
            right = torch.zeros(len(truth))
            for fold in range(10):
                torch.manual_seed(seed)
                into, out = (of != fold).nonzero()[:, 0], (of == fold).nonzero()[:, 0]
                arm = Arm([], 512, 6, classes=len(emotions), **options)
                loss = lambda made, index, labels=truth[into]: F.cross_entropy(made[:, :, 0, 0], labels[index])
                fit(arm, inputs[into], loss, seed, args.epochs)
                right[out] = (logits(arm, inputs[out]).argmax(1) == truth[out]).float()
            found.append(right.mean().item())
            print(name, seed, round(found[-1], 4), flush=True)
        rows.append({"arm": name, "ckplus": study.summary(found)})
    return {
        "trunk": sha256,
        "n": {"ckplus": len(truth)},
        "subjects": len(set(arrays["subject"].tolist())),
        "rows": rows,
    }


STUDIES = {f.__name__: f for f in (leak, ablation, layers, patches, sizes, ckplus)}


def main(args):
    torch.set_num_threads(args.threads)
    report = STUDIES[args.study](args)
    settings = {"epochs": args.epochs, "seeds": args.seeds, "batch": BATCH, "rate": RATE}
    if args.study != "ckplus":
        settings["images"] = args.subset
    asked = [f"--{k} {getattr(args, k)}" for k, v in (("subset", SUBSET), ("epochs", EPOCHS)) if getattr(args, k) != v]
    if args.seeds != SEEDS:
        asked.append(f"--seeds {' '.join(map(str, args.seeds))}")
    command = " ".join(["python models/training/study_patt_lite.py", args.study, *asked])
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps({"command": command, "settings": settings, **report}, indent=2)
    (FOLDER / f"patt_lite_{args.study}.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--subset", type=int, default=SUBSET, help="the first so many training images")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--data", type=Path, default=prepare.DATA)
    main(parser.parse_args())
