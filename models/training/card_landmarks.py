"""The landmark net's card: cards/face_landmarks_mien.md with its placeholders filled from the manifest.

python card_landmarks.py       # after evaluate_landmarks.py and measure_template.py
"""

import json
from string import Template

import crops
import landmarks
import manifest
import measure_template
from card import CARDS, percent, table

METHODS = {
    "YuNet-s": "YuNet-s' own points",
    "once": "one pass",
    "twice": "two passes, same square",
    "followed": "two passes, following",
    "followedTwice": "three passes, following",
    "mesh": "teacher, two passes",
}


def turned_faces(block):
    rows = [
        [f"{row['degrees']}°", percent(row["recall"]), *(f"{row[name]:.3f}" for name in METHODS)]
        for row in block["turned"]
    ]
    return table(["turned by", "found by the detector", *METHODS.values()], rows)


def distances(blocks):
    rows = [
        [
            block["data"].split(":")[0],
            title,
            f"{block['n']:,}",
            *(f"{block[name][key]:.3f}" for key in ("nme", "median", "p95")),
        ]
        for block in blocks
        for name, title in METHODS.items()
        if name in block
    ]
    return table(["data", "points by", "faces", "mean", "median", "95th percentile"], rows)


def presence(block):
    titles = {
        "faces": "faces, plain crops",
        "missed": "crops that miss their face",
        "texture": "pieces of the one faceless photo that was also trained with",
    }
    return table(
        ["crops", "n", "taken for faces"],
        [[titles[k], f"{block[k]['n']:,}", percent(block[k]["share"])] for k in titles],
    )


def template(measured):
    spread = measured["measured"]["std"]
    rows = [
        [name, "{:.3f}, {:.3f}".format(*measured[name]), "{:.3f}, {:.3f}".format(*spread[name])]
        for name in crops.POINTS
    ]
    return table(["point", "mean x, y", "deviation x, y"], rows)


def card():
    entry = manifest.entry(landmarks.NAME)
    if not entry["metrics"]:
        raise ValueError(f"Cannot write the card of {landmarks.NAME}: run evaluate_landmarks.py first")
    turned, fer, wild, sure, speed = entry["metrics"]
    measured = json.loads(measure_template.FILE.read_text())
    return Template((CARDS / f"{landmarks.NAME}.md").read_text()).substitute(
        name=entry["name"],
        version=entry["version"],
        sha256=entry["sha256"],
        opset=entry["opset"],
        bytes=f"{entry['bytes']:,}",
        parameters=f"{entry['parameters']:,}",
        madds=f"{entry['multiplyAdds'] / 1e6:.1f}",
        license=entry["license"],
        data_license=entry["dataLicense"],
        source=entry["source"],
        scale=entry["crop"]["scale"],
        follow_scale=entry["crop"]["follow"]["scale"],
        follow_up=entry["crop"]["follow"]["up"],
        milliseconds=f"{speed['milliseconds']:.2f}",
        pictures=turned["n"],
        turned=turned_faces(turned),
        distances=distances([fer, wild]),
        missed=f"{fer['missedByDetector']} and {wild['missedByDetector']}",
        presence=presence(sure),
        tiles=f"{measured['measured']['tiles']:,}",
        found=percent(measured["measured"]["found"]),
        template=template(measured),
        command=turned["command"],
    )


if __name__ == "__main__":
    file = manifest.MODELS / landmarks.NAME / "README.md"
    file.write_text(card())
    print(file.relative_to(manifest.MODELS.parent))
