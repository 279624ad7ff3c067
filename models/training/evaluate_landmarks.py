"""Figures of the landmark net: turned faces, distance to the teacher, presence; written into the manifest.

    python evaluate_landmarks.py

Turned faces: held-out wild pictures at 160 px in the middle of a gray 320 px canvas, the canvas turned about its
middle, alternately clockwise and back. The shift of the eyes against the same method's own answer at 0 degrees
measures steadiness, not accuracy. Accuracy is the distance to the teacher's points, which are not ground truth.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

import crops
import label_landmarks
import landmarks
import manifest
import measure_template
import prepare
import task_landmarks
import yunet
from augment import generator, normalise

COMMAND = "python evaluate_landmarks.py"
DEGREES = (0, 15, 30, 45)
MISSES = 1000


def canvases(tiles):
    """uint8 tiles `[N, H, W(, 3)]` -> gray canvases `[N, 1, 320, 320]` in 0..1, 160 px faces in the middle."""
    gray = tiles if tiles.ndim == 3 else crops.gray(torch.from_numpy(tiles)).numpy()
    return torch.from_numpy(np.stack([measure_template.place(tile) for tile in gray]))[:, None].float() / 255


def turn(canvas, degrees):
    """The canvas turned about its middle, gray beyond, and the way back for points in pixels."""
    size = canvas.shape[2]
    view = (
        torch.full((1, 2), size / 2),
        torch.tensor([float(size)]),
        torch.tensor([-np.radians(degrees)], dtype=torch.float32),
    )
    turned = crops.sample(canvas, *view, size) + (1 - crops.sample(torch.ones_like(canvas), *view, size)) * (128 / 255)
    return turned, lambda points: crops.to_image(points / size, *view)


class Methods:
    """Every way to the five points from one picture `[1, 1, H, W]` in 0..1."""

    def __init__(self):
        self.detector, self.net, self.mesh = yunet.Detector(), landmarks.Landmarks(), label_landmarks.Mesh()

    def __call__(self, image):
        """Points `[1, 5, 2]` in pixels by method, None where no face is found."""
        boxes, points, _ = self.detector.raw((image[0, 0] * 255).round().to(torch.uint8).numpy())
        if len(boxes) == 0:
            return None
        box, own = torch.from_numpy(boxes[:1]).float(), torch.from_numpy(points[:1]).float()
        angle = crops.roll(own)
        three = image.expand(-1, 3, -1, -1)
        crop, _, _ = label_landmarks.refine(self.mesh, three, *crops.square(box, 1.5), angle)
        return {
            "YuNet-s": own,
            "once": self.net.run(image, box, angle, 1, follow=False)[0],
            "twice": self.net.run(image, box, angle, 2, follow=False)[0],
            "followed": self.net.run(image, box, angle, 2, follow=True)[0],
            "followedTwice": self.net.run(image, box, angle, 3, follow=True)[0],
            "mesh": label_landmarks.refine(self.mesh, three, *crop)[1],
        }


def turned_faces(pictures, methods):
    """Recall and, by method, the median shift of the eyes as a share of the inter-ocular distance, per angle."""
    rows, upright = [], [methods(picture) for picture in pictures]
    for degrees in DEGREES:
        shifts = []
        for i, picture in enumerate(pictures):
            turned, back = turn(picture, degrees * (-1) ** i)
            answer = methods(turned)
            if answer and upright[i]:
                shifts.append({name: eye_shift(back(points), upright[i][name]) for name, points in answer.items()})
        row = {"degrees": degrees, "recall": round(len(shifts) / len(pictures), 4)}
        rows.append(row | {name: round(float(np.median([s[name] for s in shifts])), 4) for name in shifts[0]})
    return rows


def eye_shift(points, reference):
    iod = (reference[0, 0] - reference[0, 1]).norm()
    return float((points - reference)[0, :2].norm(dim=1).mean() / iod)


def to_teacher(pictures, expected, methods):
    """Distance to the teacher's points `[N, 5, 2]` (canvas pixels) as a share of the inter-ocular distance."""
    found = [(methods(picture), five) for picture, five in zip(pictures, expected)]
    kept = [(answer, five) for answer, five in found if answer]
    report = {"n": len(kept), "missedByDetector": len(found) - len(kept)}
    for name in ("YuNet-s", "once", "twice", "followed", "followedTwice"):
        errors = torch.cat([task_landmarks.error(answer[name], five[None]) for answer, five in kept])
        figures = {"nme": errors.mean(), "median": errors.median(), "p95": errors.quantile(0.95)}
        report[name] = {key: round(value.item(), 4) for key, value in figures.items()}
    return report


def presence(task, net, gen):
    """Share taken for faces at 0.5: plain crops, crops that miss their face, and pieces of a faceless photo."""
    index = torch.arange(len(task))[-MISSES:]  # the wild pictures are last
    run = lambda images: float((net.session.run(["presence"], {"image": normalise(images).numpy()})[0] > 0).mean())
    faces = run(task.batch(torch.arange(len(task))) / 2 + 0.5)
    centre, side = crops.square(task.boxes[index])
    missed = task_landmarks.miss(centre, side, gen)
    missed = crops.sample(task.tiles[index][:, None].float() / 255, *missed, torch.zeros(len(index)), landmarks.SIZE)
    return {
        "faces": {"n": len(task), "share": round(faces, 4)},
        "missed": {"n": len(index), "share": round(run(missed), 4)},
        "texture": {
            "n": MISSES,
            "share": round(run(task_landmarks.texture(task.texture, MISSES, landmarks.SIZE, gen)), 4),
        },
    }


def milliseconds(net, repeats=300):
    """Best time of one crop on one native thread."""
    image, best = np.zeros((1, 1, landmarks.SIZE, landmarks.SIZE), dtype=np.float32), float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        net.session.run(None, {"image": image})
        best = min(best, time.perf_counter() - started)
    return round(best * 1000, 3)


def labelled(name, at, data):
    """Canvases and the teacher's points on them for chosen, trusted tiles of a set."""
    labels, tiles = label_landmarks.load(name), prepare.load(name, data)["images"]
    at = at[labels["keep"][at]]
    points = torch.from_numpy(labels["points"][at]) * measure_template.TILE + measure_template.EDGE
    return canvases(tiles[at]), points


def main(args):
    torch.set_num_threads(1)
    methods = Methods()
    wild = prepare.load("wild", args.data)["images"]
    held_out = np.flatnonzero(task_landmarks.held_out(len(wild)))
    turned = turned_faces(canvases(wild[held_out])[:, None], methods)
    fer = np.sort(np.random.default_rng(1).permutation(len(label_landmarks.load("fer_valid")["keep"]))[: args.count])
    teacher = {}
    for title, name, at in (("FER2013 valid", "fer_valid", fer), ("wild, held out", "wild", held_out)):
        pictures, expected = labelled(name, at, args.data)
        teacher[title] = to_teacher(pictures[:, None], expected, methods)
    task = task_landmarks.Landmarks("valid", landmarks.SIZE, args.data)
    item = manifest.entry(landmarks.NAME)
    share = "inter-ocular distance"
    metrics = [
        {
            "data": f"wild, held out, turned in the plane: median eye shift / {share}",
            "n": len(held_out),
            "turned": turned,
        },
        *({"data": f"{title}: distance to the teacher / {share}", **row} for title, row in teacher.items()),
        {"data": "share taken for faces at presence 0.5", "n": len(task), **presence(task, methods.net, generator(1))},
        {
            "data": "time of one crop, onnxruntime native, one thread, best of 300",
            "n": 1,
            "milliseconds": milliseconds(methods.net),
        },
    ]
    item["metrics"] = [metric | {"command": COMMAND} for metric in metrics]
    manifest.update(item)
    print(json.dumps(item["metrics"], indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=prepare.DATA)
    parser.add_argument("--count", type=int, default=1000, help="how many FER2013 valid tiles")
    main(parser.parse_args())
