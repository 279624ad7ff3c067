"""The mean of several runs' averaged weights as a run of its own (Wortsman et al. 2022, "Model soups").

    python soup.py tutored_last tutored_self --name soup    # -> runs/soup/state.pt, for evaluate.py and export.py
    python soup.py steady mien_tutored --name soup          # a network kept in teachers/ may be among them, but not first

The runs are of one network and went on from the same weights: a mean of weights that lie further apart answers like none of
them.
"""

import argparse
from pathlib import Path

import torch

import teachers
import train
import weights


def mean(states):
    """Mean of state dicts with the same keys; whole numbers are the first one's."""
    first = states[0]
    return {
        key: torch.stack([state[key] for state in states]).mean(0) if value.is_floating_point() else value
        for key, value in first.items()
    }


def soup(names, name, runs=train.RUNS):
    files = [runs / one / "state.pt" for one in names]
    kept = [teachers.FOLDER / f"{one}.safetensors" for one in names]
    first = torch.load(files[0], weights_only=True, map_location="cpu")
    stirred = mean([weights.load(run if run.exists() else other) for run, other in zip(files, kept, strict=True)])
    (runs / name).mkdir(exist_ok=True)
    config = first["config"] | {"soup": names[1:]}
    train.save(runs / name / "state.pt", {"ema": stirred, "net": stirred, "step": first["step"], "config": config})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", metavar="run", help="the first tells the settings")
    parser.add_argument("--name", required=True)
    parser.add_argument("--runs", type=Path, default=train.RUNS)
    args = parser.parse_args()
    soup(args.names, args.name, args.runs)
