"""Which training images SCN would relabel, and which it did: a table to look through, beside the run.

    python relabel_report.py scn        # -> runs/scn/relabel_report.csv, most confident first

The averaged weights read every training tile as it is; listed are those whose given label is more than `--delta2` less
probable than the best one, in both heads, with alpha, its place among all (0 the least important), and the votes.
`edited` tells how often training itself relabelled the image. Rows name the image by its number in train.csv.
"""

import argparse
import csv
import json
from collections import Counter
from pathlib import Path

import torch

import check_heatmaps
import evaluate
import prepare
import scn
import targets
import train

NAMES = {"ferplus": targets.EXPRESSIONS, "fer2013": targets.FER2013}


@torch.no_grad()
def read(net, task, batch=256):
    """Weighted logits `[N, 15]` and alphas `[N, 2]` of all images."""
    parts = [net.weighted(task.batch(index)) for index in torch.arange(len(task)).split(batch)]
    return torch.cat([maps.mean((2, 3)) for maps, _ in parts]), torch.cat([alpha for _, alpha in parts])


def doubts(task, logits, alpha, delta2, edits, votes):
    """One row per doubted label, as it is written."""
    counts, rows = Counter((head, image) for _, head, image, _, _ in edits), []
    for head, (name, columns) in enumerate(scn.HEADS.items()):
        chances = logits[:, columns].softmax(1)
        given = scn.strongest(getattr(task, name), logits[:, columns])
        place = check_heatmaps.ranks(alpha[:, head].numpy()) / max(1, len(alpha) - 1)
        known = (given >= 0).nonzero()[:, 0]
        for image in known[scn.doubted(chances[known], given[known], delta2)].tolist():
            best, old = chances[image].argmax().item(), given[image].item()
            rows.append(
                {
                    "image": image,
                    "head": name,
                    "given": NAMES[name][old],
                    "proposed": NAMES[name][best],
                    "pGiven": round(chances[image, old].item(), 4),
                    "pProposed": round(chances[image, best].item(), 4),
                    "alpha": round(alpha[image, head].item(), 4),
                    "alphaPlace": round(float(place[image]), 4),
                    "edited": counts[head, image],
                    "votes": " ".join(f"{label}:{n}" for label, n in zip(targets.VOTES, votes[image].tolist()) if n),
                }
            )
    return sorted(rows, key=lambda row: row["pGiven"] - row["pProposed"])


def main(args):
    net, module, state = evaluate.load_run(args.runs / args.run)
    if module is not scn:
        raise ValueError(f"Cannot report on {args.run}: its network is {module.__name__}, not scn")
    task = train.task(module.TASK)("train", module.SIZE, args.data, args.limit)
    votes = prepare.load("fer_train", args.data)["votes"][: len(task)]
    edits = state["objective"]["edits"].tolist()
    rows = doubts(task, *read(net, task), args.delta2, edits, votes)
    file = args.runs / args.run / "relabel_report.csv"
    with open(file, "w", newline="") as out:
        writer = csv.DictWriter(out, rows[0].keys() if rows else ["image"])
        writer.writeheader()
        writer.writerows(rows)
    by_head = {name: sum(row["head"] == name for row in rows) for name in NAMES}
    print(json.dumps({"images": len(task), "doubted": by_head, "editsInTraining": len(edits), "file": file.name}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="a run of scn")
    parser.add_argument("--delta2", type=float, default=0.2)
    parser.add_argument("--limit", type=int, help="only the first so many images")
    parser.add_argument("--runs", type=Path, default=train.RUNS)
    parser.add_argument("--data", type=Path, default=prepare.DATA)
    main(parser.parse_args())
