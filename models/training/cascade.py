"""What escalation wins: a cheap model's doubtful faces read again by a stronger one, as a function of the threshold.

    python cascade.py expression_mini_xception expression_mien

A face goes on when the edge model's calibrated score is below `MIEN_ESCALATE_BELOW`; the server model's answer then stands.
Rows are FERPlus valid as a whole, on which the temperatures were fitted too; so that no threshold is chosen and praised on
the same faces, it is also chosen on one half of them and measured on the other, over and over. The rule: escalation pays
where it gains a point with no more than 30 % of the faces escalated. Writes studies/cascade_<edge>_<server>.json, and
docs/cascade.svg anew from all of these.
"""

import argparse
import json
from pathlib import Path

import torch

import calibration
import evaluate
import manifest
import prepare

FOLDER = Path(__file__).parent / "studies"
PLOT = Path(__file__).resolve().parents[2] / "docs" / "cascade.svg"
SHARES = [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0]  # of the faces, escalated
AT_MOST, GAIN = 0.3, 0.01
REPEATS = 20


def read(name, data):
    """The score served, and whether the label is right, for every labelled face of valid."""
    entry = manifest.entry(name)
    logits, task = evaluate.graph_logits(entry, data)
    columns = next(iter(evaluate.slices(task.HEADS).values()))
    known = task.majority >= 0
    scores, labels = (logits[known, columns].double() / entry["calibration"]["temperature"]).softmax(1).max(1)
    return scores, labels == task.majority[known], task.majority[known]


def cascade(scores, edge, server, below):
    """Accuracy and share escalated when faces that score less than `below` get the server's answer."""
    doubtful = scores < below
    return torch.where(doubtful, server, edge).double().mean().item(), doubtful.double().mean().item()


def threshold(scores, share):
    """The lowest threshold below which lie this share of the faces, as it can be written in a setting."""
    if share == 1:
        return 1.0
    return round(scores.sort().values[round(share * len(scores))].item(), 3)


def best(scores, edge, server):
    """The threshold, among those that escalate no more than allowed, that reads most faces rightly."""
    candidates = [0.0, *(threshold(scores, percent / 100) for percent in range(1, round(100 * AT_MOST) + 1))]
    return max(candidates, key=lambda below: cascade(scores, edge, server, below)[0])


def held(scores, edge, server, labels):
    """Gain over the edge alone, and share escalated, on the halves that the threshold was not chosen on."""
    found = []
    for seed in range(1, REPEATS + 1):
        for chosen, measured in (calibration.halves(labels, seed), calibration.halves(labels, seed)[::-1]):
            below = best(scores[chosen], edge[chosen], server[chosen])
            accuracy, share = cascade(scores[measured], edge[measured], server[measured], below)
            found.append((accuracy - edge[measured].double().mean().item(), share, below))
    gain, share, below = torch.tensor(found, dtype=torch.float64).unbind(1)
    return {
        "halvings": REPEATS,
        "gain": gain.mean().item(),
        "deviation": gain.std().item(),
        "escalated": share.mean().item(),
        "threshold": below.mean().item(),
    }


def study(names, data):
    """Everything of one pair, ready for JSON."""
    (scores, edge, labels), (_, server, _) = (read(name, data) for name in names)
    rows = []
    for share in SHARES:
        below = threshold(scores, share)
        accuracy, escalated = cascade(scores, edge, server, below)
        doubtful = scores < below
        won, lost = (int((doubtful & (a > b)).sum()) for a, b in ((server, edge), (edge, server)))
        rows.append({"threshold": below, "escalated": escalated, "accuracy": accuracy, "won": won, "lost": lost})
    outside = held(scores, edge, server, labels)
    return calibration.rounded(
        {
            "edge": names[0],
            "server": names[1],
            "sha256": [manifest.entry(name)["sha256"] for name in names],
            "command": f"python models/training/cascade.py {' '.join(names)}",
            "data": "FERPlus valid, majority, 8 classes, bare tiles",
            "n": len(scores),
            "accuracy": [right.double().mean().item() for right in (edge, server)],
            "either": (edge | server).double().mean().item(),
            "rows": rows,
            "held": outside,
            "pays": outside["gain"] >= GAIN and outside["escalated"] <= AT_MOST,
        }
    )


def plot(reports):
    """Accuracy over the share escalated, a line per pair."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "cascade", "svg.fonttype": "none", "font.size": 9})
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(7, 4.2), layout="constrained")
    for report in reports:
        shares, accuracies = zip(*((100 * row["escalated"], 100 * row["accuracy"]) for row in report["rows"]))
        label = f"{report['edge']} → {report['server']}"
        (line,) = axis.plot([0, *shares], [100 * report["accuracy"][0], *accuracies], marker="o", ms=3, label=label)
        axis.axhline(100 * (report["accuracy"][0] + GAIN), color=line.get_color(), ls=":", lw=0.8)
    axis.axvline(100 * AT_MOST, color="#888", lw=0.8)
    axis.set(xlabel="faces escalated, %", ylabel="FERPlus valid, accuracy, %")
    axis.set_title("Accuracy of the cascade; dotted: a point above the edge model alone", fontsize=9)
    axis.legend(frameon=False, fontsize=8)
    figure.savefig(PLOT, metadata={"Date": None, "Title": "Accuracy of the cascade"})
    pyplot.close(figure)


def reports():
    return [json.loads(file.read_text()) for file in sorted(FOLDER.glob("cascade_*.json"))]


def main(args):
    torch.set_num_threads(args.threads)
    report = study([args.edge, args.server], args.data)
    text = json.dumps(report, indent=2)
    (FOLDER / f"cascade_{args.edge}_{args.server}.json").write_text(text + "\n")
    plot(reports())
    print(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("edge", help="the model that answers first, by its name in the manifest")
    parser.add_argument("server", help="the model that doubtful faces go to")
    parser.add_argument("--data", type=Path, default=prepare.DATA)
    parser.add_argument("--threads", type=int, default=1)
    main(parser.parse_args())
