"""Train one network; resumable at any moment.

    python train.py mini_xception                       # the network's own recipe
    python train.py mini_xception --epochs 2 --limit 640   # a dry run
    kill -TERM <pid>; python train.py mini_xception     # goes on where it stopped
    python train.py mini_xception --name longer --start ../expression_mini_xception/weights.safetensors
    python train.py scn --set delta1=0.07 --set learn=true --device cuda   # settings of its build and Objective

A network file names its task and recipe, and may say what to start from, how weights of a smaller self are to be adapted,
and what to hold still at first; a task file gives batches, loss and metrics. State
(weights, EMA, optimiser, step) goes to runs/<name>/state.pt after every epoch and on
SIGTERM/SIGINT. Order and augmentation depend only on (seed, epoch, step): a resumed run equals an
unbroken one.
"""

import argparse
import importlib
import inspect
import json
import math
import os
import signal
import sys
import time
from pathlib import Path

import torch

import augment
import objective
import prepare
import weights

RUNS = Path(__file__).parent / "runs"
TASKS = {
    "expression": ("task_expression", "Expression"),
    "gender": ("task_gender", "Gender"),
    "landmarks": ("task_landmarks", "Landmarks"),
}


def task(name):
    """The class that gives a task's batches, loss and metrics."""
    file, title = TASKS[name]
    return getattr(importlib.import_module(file), title)


def build(module, settings=None):
    """The network of a file, by those of the settings that its `build` takes."""
    return module.build(**of_build(module, settings))


def of_build(module, settings=None):
    """Those of the settings that a file's `build` takes."""
    names = inspect.signature(module.build).parameters
    return {name: value for name, value in (settings or {}).items() if name in names}


def goal(module, net, data, settings):
    """The objective of a file, or the task's own loss, by the settings that `build` does not take."""
    names = inspect.signature(module.build).parameters
    rest = {name: value for name, value in settings.items() if name not in names}
    make = getattr(module, "Objective", objective.Objective)
    known = list(inspect.signature(make).parameters)[2:]
    if wrong := set(rest) - set(known):
        raise ValueError(
            f"Cannot set {', '.join(sorted(wrong))} of {module.__name__}: use {', '.join([*names, *known])}"
        )
    return make(net, data, **rest)


def learning_rate(step, total, peak, warmup=0.1):
    """Linear warm-up over the first tenth, cosine to zero."""
    start = max(1, int(total * warmup))
    if step < start:
        return peak * (step + 1) / start
    return peak * 0.5 * (1 + math.cos(math.pi * (step - start) / max(1, total - start)))


def staged_rate(step, total, first, peak):
    """The same once for the steps before `first`, and once more for the rest."""
    return learning_rate(step, first, peak) if step < first else learning_rate(step - first, total - first, peak)


class Ema:
    """Exponential moving average of weights and batch statistics; the model that is evaluated."""

    def __init__(self, net, decay):
        self.decay, self.step = decay, 0
        self.state = {k: v.detach().clone() for k, v in net.state_dict().items()}

    @torch.no_grad()
    def update(self, net):
        self.step += 1
        decay = min(self.decay, (1 + self.step) / (10 + self.step))
        for key, value in net.state_dict().items():
            if value.dtype.is_floating_point:
                self.state[key].lerp_(value, 1 - decay)
            else:
                self.state[key].copy_(value)


def save(path, state):
    """Write by temporary name, sync, rename: a kill leaves the old state or the new one."""
    partial = path.with_suffix(".partial")
    with open(partial, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


@torch.no_grad()
def predict(net, task, batch=256):
    net.eval()
    device = next(net.parameters()).device
    parts = []
    for index in torch.arange(len(task)).split(batch):
        inputs = task.batch(index).to(device, memory_format=torch.channels_last)
        parts.append(task.predict(objective.on_cpu(net(inputs))))
    return torch.cat(parts)


def train(args, data=None, valid=None):
    """Train on the task's training split and measure on its valid, or on others of the same task."""
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    module = importlib.import_module(args.network)
    Task = task(module.TASK)
    data = data or Task("train", args.size or module.SIZE, args.data, args.limit)
    valid = valid or Task("valid", module.SIZE, args.data, args.limit)
    if args.teacher:
        data.learn_from(args.teacher, args.teacher_weight)
    if args.tutors:
        import tutors  # not above: evaluate.py, which loads runs, imports this file

        data.learn_from_tutors(args.teacher_weight)
        asked = tutors.Tutors(args.tutors, args.runs, args.device)
    net = build(module, args.settings).to(args.device, memory_format=torch.channels_last)
    decay = [p for p in net.parameters() if p.ndim > 1]
    rest = [p for p in net.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decay, "weight_decay": args.weight_decay}, {"params": rest, "weight_decay": 0.0}],
        lr=args.lr,
        fused=True,
    )
    ema = Ema(net, args.ema)
    per_epoch = len(data) // args.batch
    total = per_epoch * args.epochs
    folder = args.runs / args.name
    folder.mkdir(parents=True, exist_ok=True)
    state_file = folder / "state.pt"
    step = 0
    if args.start:
        stored = weights.load(args.start)
        if hasattr(module, "adapt"):
            stored = module.adapt(stored, net)
        weights.start(net, stored, getattr(module, "FRESH", ()))
        ema = Ema(net, args.ema)
    elif hasattr(module, "start") and not state_file.exists():
        module.start(net)
        ema = Ema(net, args.ema)
    aim = goal(module, net, data, args.settings)
    if state_file.exists():
        state = torch.load(state_file, weights_only=True, map_location=args.device)
        net.load_state_dict(state["net"])
        ema.state, ema.step, step = state["ema"], state["ema_step"], state["step"]
        optimiser.load_state_dict(state["optimiser"])
        if "objective" in state:
            aim.restore(state["objective"])
        print(f"resumed at step {step} of {total}")

    stop = []
    before = {n: signal.signal(n, lambda *_: stop.append(True)) for n in (signal.SIGTERM, signal.SIGINT)}

    def keep():
        save(
            state_file,
            {
                "net": net.state_dict(),
                "ema": ema.state,
                "ema_step": ema.step,
                "optimiser": optimiser.state_dict(),
                "objective": aim.state(),
                "step": step,
                "config": vars_of(args),
            },
        )

    def ready(epoch):
        net.train()
        if hasattr(module, "freeze"):
            module.freeze(net, epoch < args.frozen)

    started, losses = time.time(), []
    while step < total:
        epoch, first = divmod(step, per_epoch)
        ready(epoch)
        order = torch.randperm(len(data), generator=augment.generator(args.seed, epoch))
        for position in range(first, per_epoch):
            index = order[position * args.batch : (position + 1) * args.batch]
            rate = staged_rate(step, total, args.frozen * per_epoch, args.lr)
            for group in optimiser.param_groups:
                group["lr"] = rate
            inputs = data.batch(index, augment.generator(args.seed, epoch, position, 1))
            inputs = inputs.to(args.device, memory_format=torch.channels_last)
            with torch.autocast(inputs.device.type, torch.bfloat16, enabled=args.bf16):
                if args.tutors:
                    data.teacher[index] = asked.answers(inputs, step)
                loss = aim.loss(inputs, index, epoch)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            aim.step()
            ema.update(net)
            step += 1
            losses.append(loss.item())
            if sys.stderr.isatty() and step % 10 == 0:
                print(f"\r{step}/{total} loss {sum(losses[-50:]) / len(losses[-50:]):.3f}", end="", file=sys.stderr)
            if stop:
                keep()
                print(f"stopped at step {step} of {total}; run the same command to go on")
                return None
        final = step == total
        report = {
            "epoch": epoch + 1,
            "step": step,
            "loss": round(sum(losses) / len(losses), 4),
            "lr": rate,
            "seconds": round(time.time() - started, 1),
        } | aim.report()
        if final or (epoch + 1) % args.every == 0:
            current = {k: v.clone() for k, v in net.state_dict().items()}
            net.load_state_dict(ema.state)
            report |= {k: round(v, 4) for k, v in valid.metrics(predict(net, valid)).items()}
            net.load_state_dict(current)
        losses = []
        keep()
        with open(folder / "log.jsonl", "a") as log:
            log.write(json.dumps(report) + "\n")
        print(json.dumps(report), flush=True)
    for number, handler in before.items():
        signal.signal(number, handler)
    return None if stop else ema.state


def vars_of(args):
    return {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}


def setting(text):
    """`name=value`, the value as in JSON; what is none is a word."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def parse(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", help="a network file here, without .py")
    parser.add_argument("--name", help="run folder (default: the network)")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--lr", type=float, help="peak learning rate")
    parser.add_argument("--weight-decay", type=float)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--size", type=int, help="input size to train at, if not the network's, which valid keeps")
    parser.add_argument("--frozen", type=int, help="first epochs that hold still what the network's freeze() names")
    parser.add_argument("--ema", type=float, default=0.998)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--every", type=int, default=1, help="validate every so many epochs")
    parser.add_argument("--limit", type=int, help="use only the first so many images")
    parser.add_argument(
        "--start", type=Path, help="warm start from a model's weights.safetensors or another run's state.pt"
    )
    parser.add_argument("--set", action="append", default=[], type=setting, metavar="NAME=VALUE", dest="settings")
    parser.add_argument("--device", default="cpu", help="cpu or cuda; on a GPU a resumed run equals but for rounding")
    parser.add_argument(
        "--bf16",
        action="store_true",
        help="convolutions in bfloat16: some half of the time where a CPU has AVX512_BF16",
    )
    parser.add_argument("--teacher", help="learn from these answers of other models too (teach.py)")
    parser.add_argument("--tutors", nargs="+", help="or from these runs' answers to every augmented batch (tutors.py)")
    parser.add_argument("--teacher-weight", type=float, default=0.5, help="their share of the loss")
    parser.add_argument("--data", type=Path, default=prepare.DATA)
    parser.add_argument("--runs", type=Path, default=RUNS)
    args = parser.parse_args(argv)
    args.settings = dict(args.settings)
    recipe = importlib.import_module(args.network).RECIPE
    for key, value in (dict(frozen=0) | recipe).items():
        if getattr(args, key) is None:
            setattr(args, key, value)
    args.name = args.name or args.network
    return args


if __name__ == "__main__":
    train(parse())
