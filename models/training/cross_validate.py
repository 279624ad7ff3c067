"""Train a network of action units by subject folds, then on everything; or one of its controls.

    python cross_validate.py cednn                       # ten folds -> runs/cednn/fold_0.npz ...
    python cross_validate.py cednn --arm trunk           # a control -> runs/cednn-trunk/
    python cross_validate.py cednn --folds all           # on every subject -> runs/cednn/state.pt

A fold that is there already is not trained again; a fold takes minutes and starts anew after a stop. What a fold keeps
are its network's logits on the people it has not seen: their coded faces and their neutral ones, each beside the
person's neutral (`own`), nothing (`none`), and somebody else's neutral (`other`).
"""

import argparse
import importlib
import json
import time
from pathlib import Path

import numpy as np
import torch

import augment
import cednn
import prepare
import task_action_units
import train
import weights

START, DENSE_START = "cednn_expression", "cednn_expression_dense"  # runs of cednn_expression.py
BINARY, SIGNED = (0, 1, 2, 3, 4), (5,)


def fed(mode, chosen, blocks=3):
    """The same feeding for the first blocks, none for the rest."""
    return ((mode, chosen),) * blocks + (("none", ()),) * (len(cednn.WIDTHS) - blocks)


# Each control: what `build` takes, the reference it trains with, and the expression training it starts from.
ARMS = {
    "cednn": ({}, "own", START),
    "trunk": ({"feed": fed("none", ())}, "none", START),
    "binary": ({"feed": fed("add", BINARY)}, "own", START),
    "signed": ({"feed": fed("add", SIGNED)}, "own", START),
    "stranger": ({}, "other", START),
    "scratch": ({}, "own", None),
    "scratch_trunk": ({"feed": fed("none", ())}, "none", None),
    "first": ({"feed": fed("add", cednn.ALL, 1)}, "own", START),
    "every": ({"feed": fed("add", cednn.ALL, 5)}, "own", START),
    "gate": ({"feed": fed("gate", cednn.ALL)}, "own", START),
    "concat": ({"feed": fed("concat", cednn.ALL)}, "own", None),
    "dense": ({"groups": 1, "middles": cednn.DENSE}, "own", DENSE_START),
}


def fit(net, data, args):
    """Averaged weights after the whole schedule; order and augmentation as in train.py."""
    net = net.to(memory_format=torch.channels_last).train()
    decay = [p for p in net.parameters() if p.ndim > 1]
    rest = [p for p in net.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW([{"params": decay, "weight_decay": args.weight_decay}, {"params": rest}], args.lr)
    optimiser.param_groups[1]["weight_decay"] = 0.0
    ema = train.Ema(net, args.ema)
    per_epoch = len(data) // args.batch
    for step in range(args.epochs * per_epoch):
        epoch, position = divmod(step, per_epoch)
        order = torch.randperm(len(data), generator=augment.generator(args.seed, epoch))
        index = order[position * args.batch : (position + 1) * args.batch]
        for group in optimiser.param_groups:
            group["lr"] = train.learning_rate(step, args.epochs * per_epoch, args.lr)
        inputs = data.batch(index, augment.generator(args.seed, epoch, position, 1))
        loss = data.loss(net(inputs), index)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        ema.update(net)
    return ema.state, loss.item()


@torch.no_grad()
def held_out(net, valid):
    """Logits of every way to refer, on the coded faces `[N, units]` and on the neutral ones `[M, units]`."""
    net.eval()
    kept = {"rows": valid.rows}
    for reference in task_action_units.REFERENCES:
        kept[reference] = net(valid.pairs(list(range(len(valid))), reference)).numpy()
        kept[f"calm_{reference}"] = net(valid.calm(reference)).numpy()
    return kept


def prepared(args, fold):
    options, reference, start = ARMS[args.arm]
    data = task_action_units.ActionUnits("train", cednn.SIZE, args.data, fold=fold, reference=reference)
    torch.manual_seed(args.seed)
    net = importlib.import_module(args.network).build(len(data.units), **options)
    if start:
        weights.start(net, weights.load(args.start or args.runs / start / "state.pt"), cednn.NEW)
    return net, data


def main(args):
    torch.set_num_threads(args.threads)
    folder = args.runs / (args.network if args.arm == args.network else f"{args.network}-{args.arm}")
    folder.mkdir(parents=True, exist_ok=True)
    for fold in args.folds:
        file = folder / ("state.pt" if fold is None else f"fold_{fold}.npz")
        if file.exists():
            continue
        began = time.time()
        net, data = prepared(args, fold)
        state, loss = fit(net, data, args)
        net.load_state_dict(state)
        valid = task_action_units.ActionUnits("valid", cednn.SIZE, args.data, fold=fold)
        if fold is None:
            train.save(
                file, {"ema": state, "config": train.vars_of(args), "step": args.epochs * (len(data) // args.batch)}
            )
        else:
            partial = file.with_suffix(".partial.npz")
            np.savez(partial, **held_out(net, valid))
            partial.replace(file)
        report = {"fold": fold, "loss": round(loss, 4), "seconds": round(time.time() - began, 1)}
        report |= {key: round(value, 4) for key, value in valid.metrics(train.predict(net, valid)).items()}
        print(json.dumps(report), flush=True)


def parse(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", help="a network file here, without .py")
    parser.add_argument("--arm", choices=ARMS, help="default: the network as it ships")
    parser.add_argument("--folds", default=f"0-{task_action_units.FOLDS - 1}", help="e.g. 0-9, 3, or all")
    parser.add_argument("--start", type=Path, help="expression training: state.pt (default: the arm's own)")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", type=Path, default=prepare.DATA)
    parser.add_argument("--runs", type=Path, default=train.RUNS)
    args = parser.parse_args(argv)
    for key, value in importlib.import_module(args.network).RECIPE.items():
        if getattr(args, key, None) is None:
            setattr(args, key, value)
    args.arm = args.arm or args.network
    first, _, last = args.folds.partition("-")
    args.folds = [None] if args.folds == "all" else list(range(int(first), int(last or first) + 1))
    return args


if __name__ == "__main__":
    main(parse())
