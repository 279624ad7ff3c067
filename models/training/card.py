"""Model card from measured figures: cards/<name>.md with its placeholders filled.

    python card.py expression_mini_xception

The text is written by hand; every figure of ours comes from the manifest entry and evaluation.json, so evaluate first.
"""

import argparse
import json
from pathlib import Path
from string import Template

import manifest
import train

CARDS = Path(__file__).parent / "cards"
STUDIES = Path(__file__).parent / "studies"
CONDITIONS = STUDIES / "conditions.json"
WEAK = 0.5
LOW = 0.03


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def percent(share):
    return f"{100 * share:.1f} %"


def figures(report):
    rows = []
    for b in report:
        measured = [percent(b["accuracy"]), f"{b['macroF1']:.3f}", f"{b['ece']:.3f}"]
        rows.append([b["data"], f"{b['n']:,}", *measured, f"`{b['command']}`"])
    return table(["data", "n", "accuracy", "macro F1", "ECE, 15 bins", "command"], rows)


def recall(block):
    rows = [[label, n, percent(r)] for label, n, r in zip(block["labels"], block["support"], block["recall"])]
    return table(["class", "images", "recall"], rows)


def confusion(block):
    rows = [[label, *counts] for label, counts in zip(block["labels"], block["confusion"])]
    return table(["true \\ predicted", *block["labels"]], rows)


def weak(block):
    """The classes found less than half the time, with what they are mostly taken for."""
    parts = []
    for label, n, r, counts in zip(block["labels"], block["support"], block["recall"], block["confusion"]):
        if r < WEAK:
            others = [(count, other) for count, other in zip(counts, block["labels"]) if other != label]
            parts.append(f"{label} ({percent(r)} of {n}, mostly taken for {max(others)[1]})")
    return "; ".join(parts) or "none"


def groups(block):
    """A table per heading: accuracy, recall of each label, and how far they lie apart."""
    share = lambda r: "" if r is None else percent(r)
    gap = lambda recall: "" if None in recall else f"{100 * (max(recall) - min(recall)):.1f}"
    tables = []
    for heading, groups in block["groups"].items():
        head = [heading, "images", "accuracy", *(f"{label} found" for label in block["labels"]), "gap, points"]
        rows = [
            [g["group"], f"{g['n']:,}", percent(g["accuracy"]), *map(share, g["recall"]), gap(g["recall"])]
            for g in groups
        ]
        tables.append(table(head, rows))
    return "\n\n".join(tables)


def conformal(measured):
    rows = []
    for row in measured["conformal"]:
        held = f"{percent(row['coverage'])} ± {100 * row['deviation']:.1f}"
        rows.append([percent(row["asked"]), held, f"{row['meanSetSize']:.2f}", percent(row["empty"])])
    return table(["asked", "held", "mean set size", "empty sets"], rows)


def heatmaps(checks):
    """Both checks of every map, and what they were."""
    rows = []
    for row in checks["maps"]:
        drops = [f"{row[key]:.2f}" for key in ("drop", "random", "otherFace")]
        spread = f"{row['correlation']:.2f} ({row['least']:.2f} to {row['most']:.2f})"
        p = "≤ 0.0001" if row["p"] <= 0.0001 else f"{row['p']:.4f}"
        rows.append([row["map"], *drops, p, spread, "yes" if row["passes"] else "no"])
    head = ["map", "drop", "random masks", "mask of another face", "p", "correlation (least to most)", "passes"]
    about = (
        f"{checks['n']} tiles of {checks['data']}; {checks['masks']} random masks a tile, {checks['networks']} networks"
    )
    return f"{table(head, rows)}\n\n{about}: `{checks['command']}`."


def hard(name):
    """Accuracy under every condition of conditions.py."""
    report = json.loads(CONDITIONS.read_text()).get(name) if CONDITIONS.exists() else None
    if report is None:
        return "Not measured yet."
    rows = [[row["condition"], percent(row["ferplus"]), percent(row["fer2013"])] for row in report["rows"]]
    return f"{table(['condition', 'FERPlus', 'FER2013'], rows)}\n\n`{report['command']}`"


def cues(report):
    """What evaluate_cues.py found: does anything tell better than the scores that the answer is wrong?"""
    rows = []
    for row in report["rows"]:
        low, high = row["againstMaxSoftmax"]
        lead = "" if row["cue"] == "max-softmax" else f"{low:+.3f} to {high:+.3f}"
        rows.append([row["cue"], f"{row['auroc']:.3f}", lead, f"{row['voteEntropyCorrelation']:.2f}"])
    head = ["cue", "AUROC", "over max-softmax, middle 95 %", "rank correlation with the votes' entropy"]
    about = (
        f"{report['data']}, n = {report['n']:,}, of which {report['wrong']:,} answers are wrong: `{report['command']}`."
    )
    return f"{table(head, rows)}\n\n{about}"


def system(name, report):
    """What a card says of DACL or SCN beyond the others."""
    served = "it does, and is." if report["served"] else "it does not, so it is an output of the graph only."
    return {"cues": cues(report), "comparison": comparison(name.split("_")[-1]), "served_sentence": served}


def comparison(study):
    """The tables of study_dacl.py or study_scn.py, one level down."""
    file = STUDIES / f"{study}.md"
    if not file.exists():
        return f"Not run yet: `python models/training/study_{study}.py`."
    return file.read_text().replace("\n## ", "\n### ").strip()


def card(name):
    entry = manifest.entry(name)
    report = json.loads((manifest.MODELS / name / "evaluation.json").read_text())
    metrics = [{key: block[key] for key in metric} for block, metric in zip(report, entry["metrics"])]
    if metrics != entry["metrics"] or not metrics:
        raise ValueError(f"Cannot write the card of {name}: manifest and evaluation.json disagree; run evaluate.py")
    served, second = report
    measured = entry["calibration"]["measured"]
    template = Template((CARDS / f"{name}.md").read_text())
    return template.substitute(
        name=name,
        version=entry["version"],
        sha256=entry["sha256"],
        opset=entry["opset"],
        size=entry["inputs"][0]["shape"][2],
        bytes=f"{entry['bytes']:,}",
        parameters=f"{entry['parameters']:,}",
        madds=f"{entry['multiplyAdds'] / 1e6:.1f}",
        license=entry["license"],
        data_license=entry["dataLicense"],
        source=entry["source"],
        figures=figures(report),
        weak=weak(served),
        weak_benchmark=weak(second),
        recall=recall(served),
        recall_benchmark=recall(second),
        confusion=confusion(served),
        confusion_benchmark=confusion(second),
        temperature=entry["calibration"]["temperature"],
        labelled=f"{measured['n']:,}",
        halvings=measured["halvings"],
        ece_before=f"{measured['eceUncalibrated']:.3f}",
        ece_after=f"{measured['ece']:.3f} ± {measured['eceDeviation']:.3f}",
        conformal=conformal(measured),
        conditions=hard(name),
        **(system(name, entry["cues"]) if "cues" in entry else {}),
        heatmaps=heatmaps(entry["heatmapChecks"]) if "heatmapChecks" in entry else "Not checked yet.",
        **(int8(entry["quantization"]) if "quantization" in entry else {}),
        **({"halved": halved(entry["halved"])} if "halved" in entry else {}),
        **(people(entry, served, second) if "groups" in served else {}),
    )


def halved(report):
    """What kernels in half precision on disk cost and save."""
    rows = [[row["head"], percent(row["fp32"]), percent(row["fp16"])] for row in report["accuracy"]]
    size, apart = report["bytes"], report["scoresApart"]
    return (
        f"{size['fp32']:,} bytes became {size['fp16']:,}. Of the valid tiles {percent(report['sameLabel'])} keep their "
        f"label; a tile's largest change of a score is {apart['median']:.4f} (median) and {apart['p99']:.4f} (99th "
        f"percentile): `{report['command']}`.\n\n{table(['head', 'fp32', 'fp16 on disk'], rows)}"
    )


def int8(report):
    """What a card says of the way from float to int8."""
    rows = [[row["head"], percent(row["fp32"]), percent(row["int8"])] for row in report["accuracy"]]
    return {
        "precisions": table(["head", "float", "int8"], rows),
        "same_label": percent(report["sameLabel"]),
        "apart_median": f"{report['scoresApart']['median']:.3f}",
        "apart_p99": f"{report['scoresApart']['p99']:.3f}",
        "float_bytes": f"{report['bytes']['fp32']:,}",
        "time_ratio": f"{report['timeRatio']:.2f}",
        "quantize": report["command"],
    }


def people(entry, served, aligned):
    """What a card says beyond that of a set that tells who is in its pictures."""
    template = json.loads(train.task(entry["task"]).TEMPLATE.read_text())
    rows = [[name, "{:.3f}, {:.3f}".format(*xy)] for name, xy in entry["inputs"][0]["template"].items()]
    sides = [[f"{row['side']:.2f}", percent(row["accuracy"])] for row in served["framing"]]
    sizes = [[row["pixels"], percent(row["accuracy"])] for row in served["resolution"]]
    low = [
        f"{g['group']} ({percent(g['accuracy'])} of {g['n']:,})"
        for groups in served["groups"].values()
        for g in groups
        if g["accuracy"] < served["accuracy"] - LOW
    ]
    return {
        "groups": groups(served),
        "low": "; ".join(low) or "none",
        "framing": table(["side of the crop", "accuracy"], sides),
        "resolution": table(["side of the tile, pixels", "accuracy"], sizes),
        "training": f"{served['protocol']['training']:,}",
        "held_out": f"{served['protocol']['heldOut']:,}",
        "copies": served["protocol"]["copiesLeftOut"],
        "gap": f"{100 * (max(served['recall']) - min(served['recall'])):.1f}",
        "found": percent(aligned["found"]),
        "template": table(["point", "x, y"], rows),
        "tiles": f"{template['measured']['tiles']:,}",
        "tiles_found": percent(template["measured"]["found"]),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="the model's name in the manifest")
    name = parser.parse_args().name
    file = manifest.MODELS / name / "README.md"
    file.write_text(card(name))
    print(file.relative_to(manifest.MODELS.parent))
