"""Small studies of a method against its baseline: arms that differ in one thing, on one fixed set of images.

An arm is one training run; each is resumable as train.py is, and once done only its result is kept, so a study that was
stopped goes on where it stopped. Results and the table made of them go to studies/.

All arms start from one trunk, trained on the images that no study uses (`study_start.py`), so it has not seen a label
that is made wrong. Its lower parts are held still, and what they give for a tile and its mirror image is computed once:
the methods act on what is above, and an arm takes a minute where the whole network takes ten.
"""

import argparse
import functools
import importlib
import json
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch

import augment
import prepare
import resnet18
import train
import weights
from card import table
from task_expression import SPLIT, Expression

FOLDER = Path(__file__).parent / "studies"
COUNT, EPOCHS, SEEDS, SWEEP_SEED, CHOICE = 10_000, 6, (1, 2, 3), 0, 1
RESERVED = COUNT  # images that the start has not seen: what a study may take
START = "study_start"  # the run that all arms start from
BELOW = 10  # parts of the trunk held still: all but its last stage
LABELS = {"ferplus": "FERPlus", "fer2013": "FER2013"}


@dataclass
class Arm:
    """One run: what the network is told, from which seed, and how many labels are made wrong (a share)."""

    name: str
    network: str
    seed: int
    settings: dict = field(default_factory=dict)
    noise: float = 0.0


def faces(size, arm, count=COUNT, data=prepare.DATA):
    """The same images for every arm, chosen at random among those with both labels; labels single, some made wrong.

    `true` keeps the labels that are right and `given` those it starts with, by head.
    """
    task = Expression("train", size, data)
    rows = chosen(task)[:count]
    for part in ("images", "majority", "fer2013"):
        setattr(task, part, getattr(task, part)[rows])
    task.true = {"ferplus": task.majority.clone(), "fer2013": task.fer2013.clone()}
    task.majority = wrong(task.majority, SPLIT, arm.noise, augment.generator(arm.seed, 1))
    task.fer2013 = wrong(task.fer2013, 7, arm.noise, augment.generator(arm.seed, 2))
    task.given = {"ferplus": task.majority.clone(), "fer2013": task.fer2013.clone()}
    task.ferplus = torch.nn.functional.one_hot(task.majority, SPLIT).float()
    return task


def chosen(task):
    """Rows of the images that studies may take, in a fixed order of which they take the first; all have both labels."""
    rows = ((task.majority >= 0) & (task.fer2013 >= 0)).nonzero()[:, 0]
    return rows[torch.randperm(len(rows), generator=augment.generator(CHOICE))[:RESERVED]]


@functools.cache
@torch.no_grad()
def maps(split, size, count, start, below, pool, data):
    """What the first `below` parts of the trunk `start` give for the tiles and for their mirror images, `[N, 256, s, s]` twice."""
    task, net = Expression(split, size, data), resnet18.build(pool=pool)
    images = task.images[chosen(task)[:count]] if split == "train" else task.images
    weights.start(net, weights.load(start))
    still = torch.nn.Sequential(*list(net.trunk)[:below]).eval().to(memory_format=torch.channels_last)

    def of(tiles):
        inputs = augment.normalise(augment.plain(tiles, size)).contiguous(memory_format=torch.channels_last)
        return still(inputs).half()

    return tuple(torch.cat([of(some) for some in view.split(256)]) for view in (images, images.flip(2)))


def hold(task, views):
    """Make a task's batches the maps of its tiles, for training of either view."""

    def batch(index, gen=None):
        plain, mirrored = (view[index].float() for view in views)
        if gen is None:
            return plain
        return torch.where(torch.rand(len(index), 1, 1, 1, generator=gen) < 0.5, mirrored, plain)

    task.batch = batch


def wrong(labels, classes, share, gen):
    """Labels with a share of them, rounded, replaced by any of the other classes, each as likely."""
    at = torch.randperm(len(labels), generator=gen)[: round(share * len(labels))]
    out = labels.clone()
    out[at] = (out[at] + torch.randint(1, classes, (len(at),), generator=gen)) % classes
    return out


def run(study, arm, args, measure=lambda data, state: {}):
    """The result of one arm, trained now or before: its figures on valid, and what `measure` says of data and state."""
    runs = args.runs / study
    file = runs / arm.name / "result.json"
    if file.exists():
        return json.loads(file.read_text())
    plan = [arm.network, "--name", arm.name, "--runs", str(runs), "--seed", str(arm.seed), "--epochs", str(args.epochs)]
    plan += ["--batch", str(args.batch), "--threads", str(args.threads), "--device", args.device, "--ema", "0.99"]
    plan += ["--bf16"] if args.bf16 else []
    plan += ["--lr", str(args.lr), "--weight-decay", "0.05"]
    plan += ["--every", str(args.epochs), "--data", str(args.data), "--start", str(args.start)]
    for name, value in (arm.settings | {"pool": args.pool, "below": args.below}).items():
        plan += ["--set", f"{name}={json.dumps(value)}"]
    parsed = train.parse(plan)
    module = importlib.import_module(arm.network)
    data, valid = faces(module.SIZE, arm, args.count, args.data), Expression("valid", module.SIZE, args.data)
    if args.below:
        for split, task in {"train": data, "valid": valid}.items():
            hold(task, maps(split, module.SIZE, args.count, args.start, args.below, args.pool, args.data))
    print(arm.name, flush=True)
    if train.train(parsed, data, valid) is None:
        sys.exit("Stopped; the same command goes on")
    state_file = runs / arm.name / "state.pt"
    last = json.loads((runs / arm.name / "log.jsonl").read_text().splitlines()[-1])
    state = torch.load(state_file, weights_only=True, map_location="cpu")
    result = {"arm": arm.name, "seed": arm.seed, "settings": arm.settings, "noise": arm.noise, "images": len(data)}
    result |= {key: value for key, value in last.items() if key not in ("epoch", "lr")} | measure(data, state)
    file.write_text(json.dumps(result))
    state_file.unlink()
    return result


def spread(values):
    """`mean ± deviation` in per cent; the deviation is the sample's."""
    deviation = f" ± {100 * statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.2f}{deviation}"


def summary(values):
    """Mean, deviation over the seeds, and the values, as shares."""
    spread = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "deviation": spread, "values": values}


def both(result):
    """What is chosen by: the mean accuracy of the two heads on valid."""
    return (result["ferplus"] + result["fer2013"]) / 2


def verdict(name, other, ours, theirs):
    """One plain sentence from results of equal seeds: better in every seed and by more than the spread, or not."""
    gains = [100 * (both(a) - both(b)) for a, b in zip(ours, theirs, strict=True)]
    mean = statistics.mean(gains)
    deviation = statistics.stdev(gains) if len(gains) > 1 else 0.0
    better = sum(gain > 0 for gain in gains)
    helps = better == len(gains) > 1 and mean > deviation
    return (
        f"{name} against {other}: {mean:+.2f} ± {deviation:.2f} points (mean of both heads, seed by seed), better with "
        f"{better} of {len(gains)} seeds: it {'helps' if helps else 'does not help beyond chance'} here."
    )


def write(study, args, results, sections):
    """studies/<study>.json and .md: results as they are, and tables under their headings."""
    args.out.mkdir(parents=True, exist_ok=True)
    facts = {key: getattr(args, key) for key in ("count", "epochs", "batch", "lr", "pool", "below", "bf16")}
    command = f"study_{study}.py{' --bf16' if args.bf16 else ''}"
    facts["command"] = f"python models/training/{command}"
    (args.out / f"{study}.json").write_text(json.dumps({"plan": facts, "results": results}, indent=2) + "\n")
    about = (
        f"Made by `{command}`: {args.count:,} training images with single labels, the same for every arm, "
        f"{args.epochs} epochs, batch {args.batch}, ResNet-18 on gray 64x64{' with' if args.pool else ' without'} max "
        "pooling, from a trunk trained on the images that no study uses (`study_start.py`), "
        f"{'all but its last stage held still' if args.below == BELOW else 'the whole of it trained'}; averaged weights on "
        "valid (FERPlus majority, FER2013 PublicTest), per cent. Settings were chosen on valid too, with a seed of their own."
    )
    parts = [about, *(f"## {heading}\n{text}" for heading, text in sections)]
    (args.out / f"{study}.md").write_text("\n\n".join(parts) + "\n")


def rows(named):
    """A table of named lists of results: accuracy of each head, mean and deviation over the seeds."""
    body = [[name, len(some), *(spread([r[key] for r in some]) for key in LABELS)] for name, some in named.items()]
    return table(["arm", "seeds", *LABELS.values()], body)


def parse(description, argv=None):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--count", type=int, default=COUNT, help="images of the subset")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=1e-3, help="peak learning rate, of every arm")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--pool", type=json.loads, default=True, help="the stem's max pooling: a quarter of the work")
    parser.add_argument("--start", type=Path, default=train.RUNS / START / "state.pt", help="see study_start.py")
    parser.add_argument("--below", type=int, default=BELOW, choices=(0, BELOW), help="parts of the trunk held still")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bf16", action="store_true", help="as train.py's, for every arm")
    parser.add_argument("--data", type=Path, default=prepare.DATA)
    parser.add_argument("--runs", type=Path, default=train.RUNS)
    parser.add_argument("--out", type=Path, default=FOLDER)
    args = parser.parse_args(argv)
    if args.count > RESERVED:
        parser.error(f"Cannot take {args.count} images: the start has seen all but {RESERVED}")
    return args
