"""What our net's design rests on: dense convolutions, no squeeze-excitation, two label sets, averaged weights, teachers.

    python teach.py wilder labels_a labels_b mien_before --wild --bf16   # the teachers' answers
    python study_mien.py                                             # resumable, arm by arm
    python study_mien.py --images 640 --epochs 1 --seeds 1 --out /somewhere --runs /somewhere    # a dry run

Short schedules on a fixed part of the training images, from random weights: the figures compare arms; they are not what
training in full gives. Writes studies/mien.json, from which tables.py makes the table of docs/models.md. This is a network
file too, since `train.py` builds the arms from it.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import torch
from torch import nn

import export
import mien_net
import objective
import prepare
import quantize
import study
import task_expression
import train
from mini_xception import norm
from task_expression import SPLIT, Expression

TASK, SIZE, RECIPE = mien_net.TASK, mien_net.SIZE, mien_net.RECIPE
IMAGES, EPOCHS, SEEDS = 4000, 6, [1, 2, 3]
TEACHER, WEIGHT = "wilder", 0.7  # whose answers, and their share of the loss
AVERAGE = 0.99  # of the weights: a short schedule forgets faster than train.py's
BASE = "dense 3x3, two heads, averaged weights: as it is"
RAW = "the same, weights of the last step"
ARMS = {
    BASE: {},
    "separable 3x3, wider: a third of the multiply-adds": {"separable": True, "widths": [16, 24, 72, 144, 256]},
    "squeeze-excitation after every module": {"squeeze": True},
    "FERPlus alone": {"heads": ["ferplus"]},
    "FER2013 alone": {"heads": ["fer2013"]},
    "seven tenths of the loss from three teachers": {},
    "the same, and as many wild faces, in half the epochs": {},
}
*_, TAUGHT, WILDER = ARMS


class Squeeze(nn.Module):
    """Squeeze-excitation (Hu et al. 2018) with a quarter of the channels inside."""

    def __init__(self, channels):
        super().__init__()
        inside = channels // 4
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, inside, 1),
            nn.ReLU(),
            nn.Conv2d(inside, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x):
        return x * self.gate(x)


def apart(conv):
    """A depthwise 3x3 convolution and a pointwise one in place of a dense one."""
    inputs, outputs = conv.in_channels, conv.out_channels
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False),
        norm(inputs),
        nn.Conv2d(inputs, outputs, 1, bias=False),
    )


def build(classes=15, widths=mien_net.WIDTHS, separable=False, squeeze=False):
    net = mien_net.MienNet(classes, widths)
    for at, module in enumerate(net.trunk):
        if separable:
            for layer in (0, 3):
                module.main[layer] = apart(module.main[layer])
        if squeeze:
            net.trunk[at] = nn.Sequential(module, Squeeze(widths[at + 2]))
    return net


class Objective(objective.Objective):
    """The task's loss, of some of its heads."""

    def __init__(self, net, data, heads=("ferplus", "fer2013")):
        super().__init__(net, data)
        self.heads = heads

    def loss(self, inputs, index, epoch):
        if self.data.teacher is not None:
            return super().loss(inputs, index, epoch)
        logits = Expression.predict(objective.on_cpu(self.net(inputs)))
        soft, hard = self.data.ferplus[index], self.data.fer2013[index]
        losses = {
            "ferplus": task_expression.cross_entropy(logits[:, :SPLIT], soft, soft.sum(1) > 0),
            "fer2013": nn.functional.cross_entropy(logits[:, SPLIT:], hard, ignore_index=-1),
        }
        return sum(losses[head] for head in self.heads)


def folder(name, seed, args):
    return args.runs / "study_mien" / f"{list(ARMS).index(name)}_seed{seed}"


def run(name, settings, seed, args):
    """Accuracy by head of one arm, of the averaged weights and of the last step's; trained now or before."""
    place = folder(name, seed, args)
    file = place / "result.json"
    if file.exists():
        return json.loads(file.read_text())
    epochs = str(max(1, args.epochs // 2) if name == WILDER else args.epochs)
    plan = ["study_mien", "--name", place.name, "--runs", str(place.parent), "--seed", str(seed)]
    plan += ["--epochs", epochs, "--every", epochs, "--threads", str(args.threads)]
    plan += ["--ema", str(AVERAGE), *(["--bf16"] if args.bf16 else [])]
    for key, value in settings.items():
        plan += ["--set", f"{key}={json.dumps(value)}"]
    data, valid = Expression("train", SIZE, args.data, args.images), Expression("valid", SIZE, args.data)
    if name in (TAUGHT, WILDER):
        data.learn_from(TEACHER, WEIGHT, faces=name == WILDER)
    if train.train(train.parse(plan), data, valid) is None:
        sys.exit("Stopped; the same command goes on")
    state = torch.load(place / "state.pt", weights_only=True)
    net = train.build(sys.modules[__name__], settings)
    result = {}
    for part in ("ema", "net"):
        net.load_state_dict(state[part])
        result[part] = valid.metrics(train.predict(net, valid))
    file.write_text(json.dumps(result))
    return result


def times(args):
    """Time in WASM of every architecture, float and int8, in shares of the first one's in float; by arm."""
    nets = {}
    for name, settings in ARMS.items():
        if not nets or {"separable", "squeeze"} & set(settings):
            state = torch.load(folder(name, args.seeds[0], args) / "state.pt", weights_only=True)
            nets[name] = train.build(sys.modules[__name__], settings)
            nets[name].load_state_dict(state["ema"])
    image = {"task": TASK, "inputs": [{"name": "image", "shape": [1, 1, SIZE, SIZE]}]}
    with tempfile.TemporaryDirectory() as place:
        files = []
        for at, net in enumerate(nets.values()):
            plain, small = (Path(place) / f"{at}_{precision}.onnx" for precision in ("fp32", "int8"))
            export.export(net, Expression.HEADS, SIZE, plain)
            quantize.to_int8(plain, small, quantize.Tiles(image, args.data, 64))
            files += [plain, small]
        taken = quantize.wasm_ms(files, SIZE)
    shares = [round(each / taken[0], 3) for each in taken]
    return {name: {"fp32": shares[2 * at], "int8": shares[2 * at + 1]} for at, name in enumerate(nets)}


def main(args):
    rows = []
    for name, settings in ARMS.items():
        results = [run(name, settings, seed, args) for seed in args.seeds]
        heads = settings.get("heads", study.LABELS)
        parts = {name: "ema", RAW: "net"} if name == BASE else {name: "ema"}
        for title, part in parts.items():
            rows.append({"arm": title, **{head: study.summary([r[part][head] for r in results]) for head in heads}})
            print(rows[-1], flush=True)
    taken = times(args)
    for row in rows:
        if row["arm"] in taken:
            row["time"] = taken[row["arm"]]
    valid = Expression("valid", SIZE, args.data)
    report = {
        "command": f"python models/training/study_mien.py{' --bf16' if args.bf16 else ''}",
        "settings": {**RECIPE, "epochs": args.epochs, "seeds": args.seeds, "images": args.images, "ema": AVERAGE},
        "n": {"ferplus": int((valid.majority >= 0).sum()), "fer2013": int((valid.fer2013 >= 0).sum())},
        "rows": rows,
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "mien.json").write_text(json.dumps(report, indent=2) + "\n")


def parse(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=IMAGES, help="the first so many training images")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bf16", action="store_true", help="as train.py's, for every arm")
    parser.add_argument("--data", type=Path, default=prepare.DATA)
    parser.add_argument("--runs", type=Path, default=train.RUNS)
    parser.add_argument("--out", type=Path, default=study.FOLDER)
    return parser.parse_args(argv)


if __name__ == "__main__":
    main(parse())
