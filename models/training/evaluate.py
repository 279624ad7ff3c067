"""Figures on a task's valid split: accuracy, macro F1, recall per class, confusion, calibration error.

    python evaluate.py mini_xception --runs runs        # a run's averaged weights
    python evaluate.py expression_mini_xception         # an exported model, by its name in the manifest

Bare tiles, resized bilinear (half-pixel centres) to the input; by group of people where the labels tell them. Writes evaluation.json and evaluation.png beside
what was evaluated; for an exported model also the manifest's `metrics`, scores taken as served (with the temperature).
"""

import argparse
import importlib
import itertools
import json
from pathlib import Path

import onnxruntime
import torch
import torch.nn.functional as F

import augment
import calibration
import manifest
import measure_template
import prepare
import train

SIDES = [0.8, 0.9, 1.0, 1.1, 1.25]  # of the crop, as a share of the one trained on
PIXELS = [48, 32, 24, 16]  # a side of the tile, before it is enlarged again


def load_run(folder):
    """The network of a run with its averaged weights, its file as a module, and its state."""
    state = torch.load(Path(folder) / "state.pt", weights_only=True, map_location="cpu")
    module = importlib.import_module(state["config"]["network"])
    net = train.build(module, state["config"].get("settings"))
    net.load_state_dict(state["ema"])
    return net.eval(), module, state


def run_logits(folder, data):
    """Logits `[N, classes]` of a run on valid, all heads side by side, and the task that holds the labels."""
    net, module, _ = load_run(folder)
    task = train.task(module.TASK)("valid", module.SIZE, data)
    return train.predict(net, task), task


def graph_logits(entry, data):
    """The same from an exported graph."""
    spec = entry["inputs"][0]
    task = train.task(entry["task"])("valid", spec["shape"][2], data)
    return run_graph(entry, augment.plain(task.images, task.size), task.HEADS), task


def run_graph(entry, images, outputs, batch=256):
    """Outputs side by side for images in 0..1; mean and std as the manifest says."""
    spec = entry["inputs"][0]
    session = onnxruntime.InferenceSession(manifest.MODELS / entry["file"], providers=["CPUExecutionProvider"])
    parts = []
    for some in images.split(batch):
        values = session.run(list(outputs), {spec["name"]: ((some - spec["mean"][0]) / spec["std"][0]).numpy()})
        parts.append(torch.cat([torch.from_numpy(value) for value in values], 1))
    return torch.cat(parts)


def slices(heads):
    """Which columns of the logits belong to each head."""
    ends = itertools.accumulate(len(labels) for _, labels, _ in heads.values())
    return {output: slice(end - len(labels), end) for end, (output, (_, labels, _)) in zip(ends, heads.items())}


def confusion(predicted, labels, classes):
    """Counts `[K, K]`: rows the truth, columns the prediction."""
    return torch.bincount(labels * classes + predicted, minlength=classes**2).view(classes, classes)


def figures(logits, labels, names, temperature=1.0):
    """All figures of one head over the labelled rows, ready for JSON."""
    known = labels >= 0
    logits, labels = logits[known], labels[known]
    table = confusion(logits.argmax(1), labels, len(names))
    hits, truth, guesses = table.diag().double(), table.sum(1), table.sum(0)
    recall = hits / truth.clamp(min=1)
    f1 = 2 * hits / (truth + guesses).clamp(min=1)
    return {
        "n": len(labels),
        "accuracy": round((hits.sum() / len(labels)).item(), 4),
        "macroF1": round(f1.mean().item(), 4),
        "ece": round(calibration.ece((logits.double() / temperature).softmax(1), labels), 4),
        "labels": list(names),
        "support": truth.tolist(),
        "recall": [round(r, 4) for r in recall.tolist()],
        "confusion": table.tolist(),
    }


def evaluate(logits, task, command, temperature=1.0):
    """One block of figures per head; the temperature belongs to the first, the served one."""
    report = []
    for output, columns in slices(task.HEADS).items():
        data, names, truth = task.HEADS[output]
        block = figures(logits[:, columns], getattr(task, truth), names, 1.0 if report else temperature)
        if task.PEOPLE and not report:
            block["groups"] = by_group(names, logits[:, columns].argmax(1), getattr(task, truth), task.groups())
        report.append({"data": data, "command": command, **block})
    return report


def by_group(names, predicted, truth, groups):
    """Accuracy, and recall per label, of each group of people; `groups` gives every row's group under each heading."""
    report = {}
    for heading, of_row in groups.items():
        report[heading] = []
        for group in sorted(set(of_row)):
            at = torch.from_numpy(of_row == group)
            hits = (predicted == truth)[at].double()
            shares = [hits[truth[at] == label] for label in range(len(names))]
            report[heading].append(
                {
                    "group": group,
                    "n": len(hits),
                    "accuracy": round(hits.mean().item(), 4),
                    "support": [len(share) for share in shares],
                    "recall": [round(share.mean().item(), 4) if len(share) else None for share in shares],
                }
            )
    return report


def aligned(entry, task, command):
    """Figures of the served head on faces found in a canvas and aligned as at run time."""
    spec, (output, (data, names, truth)) = entry["inputs"][0], next(iter(task.HEADS.items()))
    images, found = measure_template.aligned(task.pictures(), spec["template"], task.size)
    logits = run_graph(entry, images, [output])
    block = figures(logits, getattr(task, truth)[found], names, entry["calibration"]["temperature"])
    return {
        "data": f"{data}, found and aligned",
        "command": command,
        "found": round(found.double().mean().item(), 4),
        **block,
    }


def accuracy(entry, task, images):
    """Share of right labels of the served head for other pictures of the task's faces."""
    output, (_, _, truth) = next(iter(task.HEADS.items()))
    hits = run_graph(entry, images, [output]).argmax(1) == getattr(task, truth)
    return round(hits.double().mean().item(), 4)


def framing(entry, task):
    """Accuracy on tiles cut tighter and looser than they were trained on; beyond the edge mirrored."""
    plain, rows = augment.plain(task.images, task.size), []
    for side in SIDES:
        theta = torch.tensor([[side, 0.0, 0.0], [0.0, side, 0.0]]).expand(len(plain), 2, 3)
        grid = F.affine_grid(theta, plain.shape, align_corners=False)
        images = F.grid_sample(plain, grid, padding_mode="reflection", align_corners=False)
        rows.append({"side": side, "accuracy": accuracy(entry, task, images)})
    return rows


def resolution(entry, task):
    """Accuracy on tiles that were shrunk before: faces of fewer pixels."""
    plain, rows = augment.plain(task.images, task.size), []
    for pixels in PIXELS:
        small = F.interpolate(plain, (pixels, pixels), mode="bilinear", antialias=True, align_corners=False)
        images = F.interpolate(small, plain.shape[2:], mode="bilinear", align_corners=False)
        rows.append({"pixels": pixels, "accuracy": accuracy(entry, task, images)})
    return rows


def plot(report, title, file):
    """Row-normalised confusion matrices side by side."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(report), figsize=(6.5 * len(report), 6), layout="constrained")
    for axis, block in zip(axes, report):
        table = torch.tensor(block["confusion"], dtype=torch.float64)
        share = table / table.sum(1, keepdim=True).clamp(min=1)
        axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for row, column in torch.cartesian_prod(*[torch.arange(len(table))] * 2).tolist():
            value = share[row, column].item()
            axis.text(column, row, f"{value:.2f}", ha="center", va="center", color="white" if value > 0.5 else "black")
        axis.set_xticks(range(len(table)), block["labels"], rotation=45, ha="right")
        axis.set_yticks(range(len(table)), [f"{l} ({n})" for l, n in zip(block["labels"], block["support"])])
        axis.set(xlabel="predicted", ylabel="true (images)")
        figures = f"accuracy {block['accuracy']:.1%}, macro F1 {block['macroF1']:.3f}, n {block['n']}"
        axis.set_title(f"{block['data']}\n{figures}")
    figure.suptitle(title)
    figure.savefig(file, dpi=80)
    pyplot.close(figure)


def main(args):
    command = f"python models/training/evaluate.py {args.model}"
    if (args.runs / args.model / "state.pt").exists():
        folder = args.runs / args.model
        report = evaluate(*run_logits(folder, args.data), command)
    else:
        entry = manifest.entry(args.model)
        folder = manifest.MODELS / args.model
        logits, task = graph_logits(entry, args.data)
        report = evaluate(logits, task, command, entry["calibration"]["temperature"])
        if task.PEOPLE:
            report.append(aligned(entry, task, command))
            report[0] |= {
                "framing": framing(entry, task),
                "resolution": resolution(entry, task),
                "protocol": task.protocol(),
            }
        brief = ("data", "n", "accuracy", "macroF1", "ece", "command")
        manifest.update(entry | {"metrics": [{key: block[key] for key in brief} for block in report]})
    text = json.dumps(report, indent=2)
    (folder / "evaluation.json").write_text(text + "\n")
    plot(report, args.model, folder / "evaluation.png")
    print(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a run's name, or an exported model's name")
    parser.add_argument("--runs", type=Path, default=train.RUNS)
    parser.add_argument("--data", type=Path, default=prepare.DATA)
    main(parser.parse_args())
