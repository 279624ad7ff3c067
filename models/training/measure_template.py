"""Where the five points lie in a FER2013 training tile, measured with the detector and the landmark net as served.

    python measure_template.py            # a fixed sample of 6,000 tiles -> template.json

Each tile is scaled to 160 px in the middle of a gray 320 px canvas. Also measured: the detector's box, and
how far single faces stray from the template by a similarity transform, which augment.py has to cover.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import align
import crops
import landmarks
import prepare
import yunet

FILE = Path(__file__).parent / "template.json"
CANVAS, TILE, EDGE = 320, 160, 80
PRESENCE = 0.5


def place(tile):
    """uint8 `[48, 48]` -> the canvas `[320, 320]`."""
    canvas = np.full((CANVAS, CANVAS), 128, dtype=np.uint8)
    canvas[EDGE : EDGE + TILE, EDGE : EDGE + TILE] = Image.fromarray(tile).resize((TILE, TILE), Image.BILINEAR)
    return canvas


def measure(tiles, detector, net):
    """Points `[N, 5, 2]` and boxes `[N, 4]` in 0..1 of the tile for the faces found, and the share found."""
    points, boxes = [], []
    for tile in tiles:
        canvas = place(tile)
        found, five, _ = detector.raw(canvas)
        if len(found) == 0:
            continue
        angle = crops.roll(torch.from_numpy(five[:1]).float())
        image = torch.from_numpy(canvas)[None, None].float() / 255
        five, presence = net.run(image, torch.from_numpy(found[:1]).float(), angle)
        if presence.item() > PRESENCE:
            points.append((five[0].numpy() - EDGE) / TILE)
            boxes.append((found[0] - [EDGE, EDGE, 0, 0]) / TILE)
    return np.array(points, dtype=np.float64), np.array(boxes, dtype=np.float64), len(points) / len(tiles)


def stray(points, template):
    """Rotation (degrees), scale and shift (share of the tile) that carry each face onto the template, as spreads."""
    matrices = np.array([align.similarity(five, template) for five in points])
    degrees = np.degrees(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    scale = np.hypot(matrices[:, 0, 0], matrices[:, 1, 0])
    moved = np.einsum("nij,j->ni", matrices[:, :, :2], [0.5, 0.5]) + matrices[:, :, 2] - 0.5
    left = np.einsum("nij,npj->npi", matrices[:, :, :2], points) + matrices[:, None, :, 2] - template
    spread = lambda values: {"std": round(float(values.std()), 4), "p95": round(float(np.quantile(np.abs(values), 0.95)), 4)}
    return {
        "rotation": spread(degrees), "logScale": spread(np.log(scale)), "shiftX": spread(moved[:, 0]), "shiftY": spread(moved[:, 1]),
        "residual": {name: left[:, i].std(0).round(4).tolist() for i, name in enumerate(crops.POINTS)},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=6000)
    parser.add_argument("--data", type=Path, default=prepare.DATA)
    args = parser.parse_args()
    torch.set_num_threads(1)
    tiles = prepare.load("fer_train", args.data)["images"]
    at = np.sort(np.random.default_rng(1).permutation(len(tiles))[: args.count])
    points, boxes, found = measure(tiles[at], yunet.Detector(), landmarks.Landmarks())
    mean, spread = points.mean(0), points.std(0)
    result = {name: mean[i].round(4).tolist() for i, name in enumerate(crops.POINTS)}
    result["measured"] = {
        "tiles": len(at), "found": round(found, 4),
        "std": {name: spread[i].round(4).tolist() for i, name in enumerate(crops.POINTS)},
        "box": {"mean": boxes.mean(0).round(4).tolist(), "std": boxes.std(0).round(4).tolist()},
        "interOcular": round(float(np.linalg.norm(mean[1] - mean[0])), 4),
        "stray": stray(points, mean),
    }
    FILE.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
