"""Where the five points lie in a training tile, measured with the detector and the landmark net as served.

    python measure_template.py                              # a fixed sample of 6,000 FER2013 tiles -> template.json
    python measure_template.py --set utkface --count 3000   # of UTKFace, which is framed otherwise -> template_utkface.json

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
import task_gender
import yunet

FILE = align.FILE
SETS = {"fer_train": FILE, "utkface": task_gender.TEMPLATE}
CANVAS, TILE, EDGE = 320, 160, 80
PRESENCE = 0.5


def training_tiles(name, data):
    """The tiles of a set that its network trains on, gray or colour."""
    arrays = prepare.load(name, data)
    return arrays["images"][~task_gender.held_out(arrays)] if name == "utkface" else arrays["images"]


def place(tile):
    """A uint8 tile -> the canvas `[320, 320]`, `[320, 320, 3]` in colour."""
    canvas = np.full((CANVAS, CANVAS, *tile.shape[2:]), 128, dtype=np.uint8)
    canvas[EDGE : EDGE + TILE, EDGE : EDGE + TILE] = Image.fromarray(tile).resize((TILE, TILE), Image.BILINEAR)
    return canvas


def find(canvas, detector, net):
    """Points `[5, 2]` and box `[4]` of the likeliest face in pixels, or None."""
    found, five, _ = detector.raw(canvas)
    if len(found) == 0:
        return None
    angle = crops.roll(torch.from_numpy(five[:1]).float())
    image = torch.from_numpy(canvas)[None]
    image = (image if canvas.ndim == 2 else crops.gray(image))[:, None].float() / 255
    five, presence = net.run(image, torch.from_numpy(found[:1]).float(), angle)
    return (five[0].numpy(), found[0]) if presence.item() > PRESENCE else None


def measure(tiles, detector, net):
    """Points `[N, 5, 2]` and boxes `[N, 4]` in 0..1 of the tile for the faces found, and the share found."""
    faces = [face for tile in tiles if (face := find(place(tile), detector, net))]
    points = [(five - EDGE) / TILE for five, _ in faces]
    boxes = [(box - [EDGE, EDGE, 0, 0]) / TILE for _, box in faces]
    return np.array(points, dtype=np.float64), np.array(boxes, dtype=np.float64), len(faces) / len(tiles)


def aligned(tiles, template, size):
    """Colour tiles on their canvases, found and aligned as at run time: gray `[M, 1, size, size]` in 0..1, found `[N]`."""
    detector, net, points = yunet.Detector(), landmarks.Landmarks(), [template[name] for name in crops.POINTS]
    images, found = [], torch.zeros(len(tiles), dtype=torch.bool)
    for i, canvas in enumerate(map(place, tiles)):
        if face := find(canvas, detector, net):
            images.append(align.align(canvas, face[0], points, size)[0])
            found[i] = True
    return torch.from_numpy(np.array(images, dtype=np.float32))[:, None] / 255, found


def stray(points, template):
    """Rotation (degrees), scale and shift (share of the tile) that carry each face onto the template, as spreads."""
    matrices = np.array([align.similarity(five, template) for five in points])
    degrees = np.degrees(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    scale = np.hypot(matrices[:, 0, 0], matrices[:, 1, 0])
    moved = np.einsum("nij,j->ni", matrices[:, :, :2], [0.5, 0.5]) + matrices[:, :, 2] - 0.5
    left = np.einsum("nij,npj->npi", matrices[:, :, :2], points) + matrices[:, None, :, 2] - template
    spread = lambda values: {
        "std": round(float(values.std()), 4),
        "p95": round(float(np.quantile(np.abs(values), 0.95)), 4),
    }
    return {
        "rotation": spread(degrees),
        "logScale": spread(np.log(scale)),
        "shiftX": spread(moved[:, 0]),
        "shiftY": spread(moved[:, 1]),
        "residual": {name: left[:, i].std(0).round(4).tolist() for i, name in enumerate(crops.POINTS)},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", choices=SETS, default="fer_train")
    parser.add_argument("--count", type=int, default=6000)
    parser.add_argument("--data", type=Path, default=prepare.DATA)
    args = parser.parse_args()
    torch.set_num_threads(1)
    tiles = training_tiles(args.set, args.data)
    at = np.sort(np.random.default_rng(1).permutation(len(tiles))[: args.count])
    points, boxes, found = measure(tiles[at], yunet.Detector(), landmarks.Landmarks())
    mean, spread = points.mean(0), points.std(0)
    result = {name: mean[i].round(4).tolist() for i, name in enumerate(crops.POINTS)}
    result["measured"] = {
        "tiles": len(at),
        "found": round(found, 4),
        "std": {name: spread[i].round(4).tolist() for i, name in enumerate(crops.POINTS)},
        "box": {"mean": boxes.mean(0).round(4).tolist(), "std": boxes.std(0).round(4).tolist()},
        "interOcular": round(float(np.linalg.norm(mean[1] - mean[0])), 4),
        "stray": stray(points, mean),
    }
    SETS[args.set].write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
