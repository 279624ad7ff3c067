"""The studies' figures -> tables in docs/, between the markers of each section; text around them is by hand.

python tables.py
"""

import json
from pathlib import Path

from card import percent, table

FOLDER = Path(__file__).parent / "studies"
DOCS = Path(__file__).resolve().parents[2] / "docs"
FILES = [DOCS / "models.md", DOCS / "gpu-route.md"]
HEADS = {"ferplus": "FERPlus", "fer2013": "FER2013", "ckplus": "CK+"}


def share(figures):
    """A mean in per cent, and its deviation in points where there is one."""
    spread = figures["deviation"]
    return percent(figures["mean"]) + ("" if spread is None else f" ± {100 * spread:.1f}")


def about(report):
    settings = report["settings"]
    counts = ", ".join(f"{HEADS.get(key, key)} n = {n:,}" for key, n in report["n"].items())
    images = f"{settings['images']:,} training images, " if "images" in settings else ""
    seeds = len(settings["seeds"])
    drawn = f"{seeds} seeds (mean and deviation)" if seeds > 1 else "one seed"
    return f"{counts}; {images}{settings['epochs']} epochs, {drawn}: `{report['command']}`."


def leak(report):
    ways = list(dict.fromkeys(row["company"] for row in report["rows"]))
    names = {"batch": "across the batch, as published", "image": "within the image"}
    found = {(row["data"], row["attention"], row["company"]): row for row in report["rows"]}
    pairs = dict.fromkeys((row["data"], row["attention"]) for row in report["rows"])
    rows = [[data, names[a], *(share(found[data, a, way]) for way in ways)] for data, a in pairs]
    return table(["data", "attention", *ways], rows)


def arms(report):
    """Accuracy by head, and where it was taken the time in WASM, in shares of the first arm's in float."""
    heads = [key for key in HEADS if key in report["rows"][0]]
    rows = [[row["arm"], *(share(row[key]) if key in row else "" for key in heads)] for row in report["rows"]]
    columns = ["", *(HEADS[key] for key in heads)]
    if any("time" in row for row in report["rows"]):
        columns.append("time in float, in int8")
        for cells, row in zip(rows, report["rows"]):
            cells.append("{fp32:.2f}, {int8:.2f}".format(**row["time"]) if "time" in row else "")
    return table(columns, rows)


def conditions(reports):
    """FERPlus accuracy, FER2013 after the stroke; a column per model."""
    names = list(reports)
    rows = []
    for index, row in enumerate(reports[names[0]]["rows"]):
        pairs = [(reports[name]["rows"][index]["ferplus"], reports[name]["rows"][index]["fer2013"]) for name in names]
        rows.append([row["condition"], *(f"{100 * a:.1f} / {100 * b:.1f}" for a, b in pairs)])
    files = ", ".join(f"{name} {report['sha256'][:8]}" for name, report in reports.items())
    n = next(iter(reports.values()))["n"]
    return (
        f"{table(['FERPlus / FER2013, %', *names], rows)}\n\nFERPlus n = {n['ferplus']:,}, FER2013 n = {n['fer2013']:,}; "
        f"graphs by the start of their sha256: {files}: `python models/training/conditions.py`."
    )


def cascades(pairs):
    """Accuracy by share escalated, a column per pair; then what a threshold wins on faces it was not chosen on."""
    first = pairs[0]
    rows = [["none", *(percent(pair["accuracy"][0]) for pair in pairs)]]
    for index, row in enumerate(first["rows"]):
        found = [pair["rows"][index] for pair in pairs]
        rows.append(
            [f"{100 * row['escalated']:.0f} %", *(f"{percent(r['accuracy'])} ({r['threshold']:g})" for r in found)]
        )
    names = [f"{pair['edge']} → {pair['server']}" for pair in pairs]
    judged = []
    for name, pair in zip(names, pairs):
        held = pair["held"]
        gain = f"{100 * held['gain']:+.1f} ± {100 * held['deviation']:.1f}"
        verdict = "yes" if pair["pays"] else "no"
        judged.append([name, gain, percent(held["escalated"]), percent(pair["either"]), verdict])
    columns = ["", "points, other half", "escalated", "one of the two is right", "a point at ≤ 30 %"]
    commands = ", ".join(f"`{pair['command']}`" for pair in pairs)
    return (
        f"{table(['faces escalated', *names], rows)}\n\n{table(columns, judged)}\n\n"
        f"{first['data']}, n = {first['n']:,}; {first['held']['halvings']} halvings, both ways: {commands}."
    )


def section(name, report):
    if name == "conditions":
        return conditions(report)
    if name == "cascade":
        return cascades(report)
    return f"{leak(report) if name == 'patt_lite_leak' else arms(report)}\n\n{about(report)}"


def fill(text, reports):
    """The text with what stands between `<!-- name -->` and `<!-- /name -->` made anew, for every report."""
    for name, report in reports.items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        if start in text:
            before, rest = text.split(start, 1)
            text = f"{before}{start}\n{section(name, report)}\n{end}{rest.split(end, 1)[1]}"
    return text


def reports():
    found = {file.stem: json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))}
    return found | {"cascade": [report for name, report in found.items() if name.startswith("cascade_")]}


if __name__ == "__main__":
    for file in FILES:
        file.write_text(fill(file.read_text(), reports()))
