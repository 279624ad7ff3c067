"""How expression models do on hard variants of valid: parts of the face covered, turned in the plane, seen from the side.

    python conditions.py                              # every expression model of the manifest
    python conditions.py expression_patt_lite

Each variant is made from the bare 48x48 tiles before they are enlarged to the model's input. Covered parts are filled with
the tile's mean; where they lie follows the template. "From the side" is the picture as a plane turned about its vertical
middle and seen in perspective: it foreshortens as a turned head does, but hides nothing. Writes studies/conditions.json.
"""

import argparse
import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F

import align
import evaluate
import manifest
import prepare
import train
from calibration import rounded

FILE = Path(__file__).parent / "studies" / "conditions.json"
BAND = 0.16  # half the height of the band over the eyes or the mouth, as a share of the tile
DISTANCE = 2.0  # from eye to picture, in widths of the tile


def covered(tiles, top, bottom, left, right):
    """Tiles `[N, 1, H, W]` with a box, in shares of the tile, filled with each tile's mean."""
    height, width = tiles.shape[2:]
    out = tiles.clone()
    rows = slice(round(top * height), round(bottom * height))
    columns = slice(round(left * width), round(right * width))
    out[:, :, rows, columns] = tiles.mean((1, 2, 3), keepdim=True)
    return out


def rotated(tiles, degrees):
    """Turned in the plane about the middle; edges reflected."""
    angle = math.radians(degrees)
    theta = torch.tensor([[math.cos(angle), -math.sin(angle), 0.0], [math.sin(angle), math.cos(angle), 0.0]])
    grid = F.affine_grid(theta.expand(len(tiles), 2, 3), tiles.shape, align_corners=False)
    return F.grid_sample(tiles, grid, padding_mode="reflection", align_corners=False)


def from_the_side(tiles, degrees):
    """The plane of the picture turned about its vertical middle line, in perspective; edges reflected."""
    height, width = tiles.shape[2:]
    angle, far = math.radians(degrees), 2 * DISTANCE
    y, x = torch.meshgrid(
        (torch.arange(height) + 0.5) * 2 / height - 1, (torch.arange(width) + 0.5) * 2 / width - 1, indexing="ij"
    )
    u = x * far / (far * math.cos(angle) - x * math.sin(angle))
    v = y * (far + u * math.sin(angle)) / far
    grid = torch.stack([u, v], 2).expand(len(tiles), height, width, 2)
    return F.grid_sample(tiles, grid, padding_mode="reflection", align_corners=False)


def conditions():
    """Names and what each does to tiles in 0..1."""
    points = align.template()
    eyes = (points["rightEye"][1] + points["leftEye"][1]) / 2
    mouth = (points["rightMouthCorner"][1] + points["leftMouthCorner"][1]) / 2
    made = {
        "as it is": lambda t: t,
        "eyes covered": lambda t: covered(t, eyes - BAND, eyes + BAND, 0, 1),
        "mouth covered": lambda t: covered(t, mouth - BAND, mouth + BAND, 0, 1),
        "left half covered": lambda t: covered(t, 0, 1, 0, 0.5),
        "right half covered": lambda t: covered(t, 0, 1, 0.5, 1),
    }
    made |= {f"turned by {d}°": lambda t, d=d: rotated(t, d) for d in (-30, -15, 15, 30)}
    made |= {f"from the side, {d}°": lambda t, d=d: from_the_side(t, d) for d in (-45, -30, 30, 45)}
    return made


def measure(entry, data):
    """Accuracy of both heads under every condition."""
    size = entry["inputs"][0]["shape"][2]
    task = train.task(entry["task"])("valid", size, data)
    tiles, rows = task.images[:, None].float() / 255, []
    for name, make in conditions().items():
        images = F.interpolate(make(tiles), (size, size), mode="bilinear", align_corners=False)
        logits = evaluate.run_graph(entry, images, task.HEADS)
        rows.append({"condition": name} | task.metrics(logits))
    known = {"ferplus": task.majority, "fer2013": task.fer2013}
    return {
        "sha256": entry["sha256"],
        "command": f"python models/training/conditions.py {entry['name']}",
        "n": {key: int((truth >= 0).sum()) for key, truth in known.items()},
        "rows": rounded(rows),
    }


def main(args):
    torch.set_num_threads(args.threads)
    names = args.models or [item["name"] for item in manifest.read() if item["task"] == "expression" and item["file"]]
    report = json.loads(FILE.read_text()) if FILE.exists() else {}
    for name in names:
        report[name] = measure(manifest.entry(name), args.data)
        print(name, json.dumps(report[name]["rows"]), flush=True)
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(dict(sorted(report.items())), indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", help="names in the manifest")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--data", type=Path, default=prepare.DATA)
    main(parser.parse_args())
