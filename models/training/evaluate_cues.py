"""Does what DACL and SCN give beside the label tell when the label is wrong? Against the scores themselves, on valid.

    python evaluate_cues.py expression_scn      # alpha: into `calibration.certainty` only if it wins, and `cues`
    python evaluate_cues.py expression_dacl     # distance to the label's centre: `calibration.typicality`, and `cues`

Each cue is compared with max-softmax by the area under the ROC curve (AUROC) for "the answer is wrong" on FERPlus' majority
labels, with a bootstrap over images, and by its rank correlation with the entropy of the ten annotators' votes. Served
are percentiles: where a face lies among all of valid. Run it after evaluate.py; export.py writes the entry anew.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnxruntime
import torch

import augment
import calibration
import check_heatmaps
import manifest
import prepare
import targets
import train

RESAMPLES = 1000
SEED = 1
# The output, what it is served as, and its raw doubt from values `[N, K]` and answered labels `[N]`.
CUES = {
    "alpha": ("certainty", lambda values, labels: -values[:, 0]),
    "distances": ("typicality", lambda values, labels: values[np.arange(len(values)), labels]),
}


def auroc(doubt, wrong):
    """Chance that a wrong answer is doubted more than a right one, ties by half."""
    order = check_heatmaps.ranks(doubt) + 1
    positives = wrong.sum()
    return float((order[wrong].sum() - positives * (positives + 1) / 2) / (positives * (len(wrong) - positives)))


def entropy(probabilities):
    """In nats, of rows that sum to one."""
    return -(probabilities * np.log(np.maximum(probabilities, 1e-12))).sum(1)


def lead(doubt, other, wrong):
    """By how much one cue's AUROC exceeds another's: the middle 95 % over resampled images."""
    rng, gains = np.random.default_rng(SEED), []
    for _ in range(RESAMPLES):
        at = rng.integers(len(wrong), size=len(wrong))
        if 0 < wrong[at].sum() < len(at):
            gains.append(auroc(doubt[at], wrong[at]) - auroc(other[at], wrong[at]))
    return [float(bound) for bound in np.percentile(gains, [2.5, 97.5])]


def rank_correlation(a, b):
    x, y = (check_heatmaps.ranks(v) for v in (a, b))
    return float(np.corrcoef(x, y)[0, 1])


def measure(cues, wrong, known, votes):
    """A row per cue, max-softmax first; rows of `known` images have a label that can be wrong."""
    voted = votes.sum(1) > 0
    spread = entropy(votes[voted] / votes[voted].sum(1, keepdims=True))
    first, rows = next(iter(cues.values())), []
    for name, doubt in cues.items():
        rows.append(
            {
                "cue": name,
                "auroc": auroc(doubt[known], wrong),
                "againstMaxSoftmax": [0.0, 0.0] if doubt is first else lead(doubt[known], first[known], wrong),
                "voteEntropyCorrelation": rank_correlation(doubt[voted], spread),
            }
        )
    return rows


def outputs(entry, task, names):
    """Outputs by name, `[N, ...]`, for all tiles of a task."""
    spec = entry["inputs"][0]
    session = onnxruntime.InferenceSession(manifest.MODELS / entry["file"], providers=["CPUExecutionProvider"])
    images = augment.plain(task.images, task.size).split(256)
    parts = [session.run(names, {spec["name"]: ((i - spec["mean"][0]) / spec["std"][0]).numpy()}) for i in images]
    return dict(zip(names, (np.concatenate(part) for part in zip(*parts))))


def main(args):
    entry = manifest.entry(args.name)
    Task = train.task(entry["task"])
    task = Task("valid", entry["inputs"][0]["shape"][2], args.data)
    output = next(o["name"] for o in entry["outputs"] if o["name"] in CUES)
    served, doubt_of = CUES[output]
    values = outputs(entry, task, ["logits", output])
    scores = (torch.from_numpy(values["logits"]).double() / entry["calibration"]["temperature"]).softmax(1).numpy()
    labels, majority = scores.argmax(1), task.majority.numpy()
    known = majority >= 0
    doubt = doubt_of(values[output], labels)
    cues = {"max-softmax": 1 - scores.max(1), "entropy of the scores": entropy(scores), output: doubt}
    votes = prepare.load("fer_valid", args.data)["votes"][: len(task)].astype(float)
    rows = measure(cues, (labels != majority)[known], known, votes[:, : len(targets.VOTES)])
    wins = rows[-1]["againstMaxSoftmax"][0] > 0
    raw = -doubt if output == "alpha" else doubt
    percentiles = {"output": output, "quantiles": [float(f"{q:.6g}") for q in np.percentile(raw, range(101))]}
    fresh = {key: value for key, value in entry["calibration"].items() if key != served}
    if wins or served == "typicality":
        fresh[served] = percentiles
    report = {
        "data": Task.HEADS["logits"][0],
        "n": int(known.sum()),
        "wrong": int((labels != majority)[known].sum()),
        "command": f"python models/training/evaluate_cues.py {args.name}",
        "served": served in fresh,
        "rows": calibration.rounded(rows),
    }
    manifest.update(entry | {"calibration": fresh, "cues": report})
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="the model's name in the manifest")
    parser.add_argument("--data", type=Path, default=prepare.DATA)
    main(parser.parse_args())
