"""How alike two views of one person are, and of two: what src/pipeline/look.ts tells a cut in a film from an expression by.

    python measure_looks.py

Pearson's correlation of aligned faces inside an edge of an eighth, on CK+: a person's calm face beside its peak, beside
another calm frame, and beside other people's.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

import prepare
import task_action_units

SIZE, EDGE = 48, 6
SHARES = (1, 5, 25, 50, 90)  # percentiles


def alike(pairs):
    """Correlation of the two planes of every pair `[N, 2, S, S]`."""
    inside = pairs[:, :, EDGE:-EDGE, EDGE:-EDGE].flatten(2)
    inside = inside - inside.mean(2, keepdim=True)
    return torch.nn.functional.cosine_similarity(inside[:, 0], inside[:, 1], dim=1).numpy()


def main(args):
    data = task_action_units.ActionUnits("train", SIZE, args.data)
    rows = [row for row in range(len(data.rows)) if data.standing(row, "own") >= 0]
    kinds = {
        "calm and peak, one person": data.pairs(rows, "own"),
        "calm and peak, two people": data.pairs(rows, "other"),
        "calm twice, one person": data.calm("own"),
        "calm twice, two people": data.calm("other"),
    }
    report = {
        kind: {"n": len(pairs)} | dict(zip(map(str, SHARES), np.percentile(alike(pairs), SHARES).round(3).tolist()))
        for kind, pairs in kinds.items()
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=prepare.DATA)
    main(parser.parse_args())
