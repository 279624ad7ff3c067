"""The card of the action units: cards/action_units_cednn.md with its placeholders filled.

python card_action_units.py       # after evaluate_action_units.py and, in the project's root, deno task eval:units
"""

import json
from pathlib import Path
from string import Template

import difference_maps
import manifest
from card import CARDS, percent, table

NAME = "action_units_cednn"
REFERENCES = {
    "own": "their own neutral",
    "none": "no neutral: empty maps",
    "other": "another person's neutral",
}
ARMS = {
    "trunk": "trunk only, trained and used without maps",
    "binary": "the five binary maps only, no signed difference",
    "signed": "the signed difference only, no binary maps",
    "stranger": "trained beside other people's neutrals",
    "scratch": "as served, but not started from expressions",
    "scratch_trunk": "trunk only, not started from expressions",
    "first": "all maps into the first block only",
    "every": "all maps into all five blocks",
    "gate": "as served, but the maps gate instead of being added",
    "concat": "maps concatenated, not started from expressions",
    "dense": "dense convolutions of as many weights",
}
WILD = Path(__file__).parent / "studies" / "wild_units.json"
HEAD = ["read against", "macro F1", "macro F1 at 0.5", "AUC", "found on calm faces"]


def line(summary):
    return [
        f"{summary['macroF1']:.3f}",
        f"{summary['macroF1AtHalf']:.3f}",
        f"{summary['auc']:.3f}",
        percent(summary["firedOnCalm"]),
    ]


def units(report):
    tiles = report["neutralTiles"]["units"]
    rows = [
        [
            u["au"],
            u["positives"],
            percent(u["prevalence"]),
            f"{u['f1']:.3f}",
            f"{u['f1WithoutNeutral']:.3f}",
            f"{u['auc']:.3f}",
            f"{u['threshold']:.2f}",
            percent(u["firedOnCalm"]),
            percent(tiles[u["au"]]),
        ]
        for u in report["units"]
    ]
    head = ["unit", "positives", "prevalence", "F1", "F1, no neutral", "AUC", "threshold served"]
    return table([*head, "found on calm CK+ faces", "found on FERPlus-neutral tiles"], rows)


def references(report):
    return table(HEAD, [[REFERENCES[key], *line(value)] for key, value in report["references"].items()])


def arms(report):
    rows = [["as served", REFERENCES["own"], *line(report["references"]["own"])]]
    for arm, found in report["arms"].items():
        rows += [[ARMS[arm], REFERENCES[key], *line(value)] for key, value in found.items()]
    missing = [title for arm, title in ARMS.items() if arm not in report["arms"]]
    text = table(["network", *HEAD], rows)
    return text if not missing else f"{text}\n\nNot run yet: {'; '.join(missing)}."


def wild(entry):
    """What the served units do on photos, where that was measured on these very weights."""
    study = json.loads(WILD.read_text())
    if study["sha256"] != entry["sha256"]:
        return f"Not measured on these weights yet: `{study['command']}`."
    rows = [
        [
            row["reference"],
            percent(row["fired"]),
            percent(row["firedOnCalm"]),
            percent(row["furtherThanAlone"]),
            percent(row["lipCornersOfHappy"]),
            percent(row["lowest"]) if "lowest" in row else "",
        ]
        for row in study["rows"]
    ]
    head = [
        "reference",
        "units found",
        "on calm faces",
        "not found alone",
        "AU12 on happy faces",
        "map that is not empty",
    ]
    alone = study["rows"][0]["units"]
    most = max(alone, key=alone.get)
    return (
        f"The {study['faces']} faces of {len(study['photos'])} photos (a portrait and face-api's samples), of which "
        f"{study['calmFaces']} read as neutral and {study['happyFaces']} as happiness; shares of all units of all faces. "
        f"Few faces, and mostly posed smiles in good light. Alone, {most} is found most often, on {percent(alone[most])}; "
        f"the lip corners of a smile (AU12) on {percent(study['rows'][0]['lipCornersOfHappy'])} of the happy faces: what "
        f"this share lacks was missed. Measured by `{study['command']}`; rates per unit in studies/{WILD.name}.\n\n{table(head, rows)}"
    )


def card():
    entry = manifest.entry(NAME)
    report = json.loads((manifest.MODELS / NAME / "evaluation.json").read_text())
    if not entry["metrics"] or entry["metrics"][0]["macroF1"] != report["macroF1"]:
        raise ValueError("Cannot write the card: manifest and evaluation.json disagree; run evaluate_action_units.py")
    tiles, signatures = report["neutralTiles"], entry["outputs"][0]["signatures"]
    weak = [f"{u['au']} ({u['f1']:.2f})" for u in report["units"] if u["f1"] < 0.7]
    over = [f"{au} ({percent(share)})" for au, share in tiles["units"].items() if share > tiles["allowed"]]
    return Template((CARDS / f"{NAME}.md").read_text()).substitute(
        name=NAME,
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
        thresholds=", ".join(f"{t:g}" for t in difference_maps.THRESHOLDS),
        count=len(report["units"]),
        n=report["n"],
        macro_f1=f"{report['macroF1']:.3f}",
        macro_f1_half=f"{report['macroF1AtHalf']:.3f}",
        usual=f"{report['usual']:.3f}",
        auc=f"{report['auc']:.3f}",
        units=units(report),
        weak=", ".join(weak) or "none",
        references=references(report),
        arms=arms(report),
        rare=", ".join(f"{r['au']} ({r['positives']})" for r in report["rare"]),
        tiles=f"{tiles['n']:,}",
        most=percent(tiles["most"]),
        allowed=percent(tiles["allowed"]),
        over=", ".join(over) or "none",
        wild=wild(entry),
        command=report["command"],
        signatures="; ".join(f"{label}: {' + '.join(names)}" for label, names in signatures.items()),
    )


if __name__ == "__main__":
    file = manifest.MODELS / NAME / "README.md"
    file.write_text(card())
    print(file.relative_to(manifest.MODELS.parent))
