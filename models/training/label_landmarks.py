"""Label FER2013 tiles and wild crops with five points: the teacher is MediaPipe's face mesh (Apache-2.0).

    python label_landmarks.py               # fer_train, fer_valid, wild -> cache/landmarks_<set>.npz
    python label_landmarks.py wild          # one of the three
    python label_landmarks.py --montage     # and a picture of a few to look at

YuNet finds the face (the whole tile stands in where it finds none), the mesh runs on the upright
crop twice and once more mirrored; the answer is the mean of the last two. Their disagreement, the
mesh's presence and the points' geometry decide which labels are kept.
"""

import argparse
import hashlib
import math
import multiprocessing
import subprocess
import sys
import zipfile

import numpy as np
import torch
from PIL import Image, ImageDraw

import crops
import prepare
import yunet

WHEEL = "mediapipe==0.10.21"
MEMBER = "mediapipe/modules/face_landmark/face_landmark.tflite"
SHA256 = "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814"
SIZE = 192  # the mesh's input
CANVAS = 192  # YuNet sees the tile at 112 px in the middle of a gray canvas of this size
TILE = 112
SETS = ("fer_train", "fer_valid", "wild")


def teacher_model():
    """The mesh's bytes, out of the pinned wheel, which is downloaded when absent."""
    found = list(prepare.CACHE.glob("mediapipe-0.10.21-*.whl"))
    if not found:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--python-version=3.11"]
        subprocess.run(command + ["--platform=manylinux_2_28_x86_64", "--dest", prepare.CACHE, WHEEL], check=True)
        found = list(prepare.CACHE.glob("mediapipe-0.10.21-*.whl"))
    with zipfile.ZipFile(found[0]) as wheel:
        model = wheel.read(MEMBER)
    if hashlib.sha256(model).hexdigest() != SHA256:
        raise ValueError(f"{MEMBER} in {found[0].name} is not the file expected: sha256 differs")
    return model


class Mesh:
    def __init__(self):
        from ai_edge_litert.interpreter import Interpreter

        self.net = Interpreter(model_content=teacher_model(), num_threads=1)
        self.net.allocate_tensors()
        self.input = self.net.get_input_details()[0]["index"]
        outputs = sorted(self.net.get_output_details(), key=lambda output: -np.prod(output["shape"]))
        self.landmarks, self.presence = (output["index"] for output in outputs)

    def run(self, images):
        """Crops `[N, 3, 192, 192]` in 0..1 -> all 468 points `[N, 468, 2]` in 0..1 and presence `[N]`."""
        points, presence = torch.empty(len(images), 468, 2), torch.empty(len(images))
        for i, image in enumerate(images.permute(0, 2, 3, 1)):
            self.net.set_tensor(self.input, image[None].contiguous().numpy())
            self.net.invoke()
            raw = self.net.get_tensor(self.landmarks).reshape(468, 3)[:, :2]
            points[i] = torch.from_numpy(raw / SIZE)
            presence[i] = 1 / (1 + math.exp(-float(self.net.get_tensor(self.presence).item())))
        return points, presence


def five(mesh):
    """468 mesh points -> eye centres (mean of the corners), nose tip, mouth corners."""
    right, left = mesh[:, [33, 133]].mean(1), mesh[:, [362, 263]].mean(1)
    return torch.stack([right, left, mesh[:, 1], mesh[:, 61], mesh[:, 291]], 1)


def refine(mesh, images, centre, side, angle):
    """The mesh on one crop -> the next crop (1.5 x the points' bounding box, upright), points and presence."""
    points, presence = mesh.run(crops.sample(images, centre, side, angle, SIZE, "border"))
    pixels = crops.to_image(points, centre, side, angle)
    angle = crops.roll(five(pixels))
    upright = pixels @ crops.rotation(angle)
    low, high = upright.amin(1), upright.amax(1)
    centre = ((low + high) / 2)[:, None] @ crops.rotation(angle).mT
    return (centre[:, 0], 1.5 * (high - low).amax(1), angle), five(pixels), presence


def label(mesh, images, boxes, angle):
    """Points `[N, 5, 2]` in pixels, presence `[N]` and the disagreement with the mirrored crop as a share of the
    inter-ocular distance, for images `[N, 3, H, W]` in 0..1 and first boxes `[N, 4]`."""
    crop, _, _ = refine(mesh, images, *crops.square(boxes, 1.5), angle)
    inputs = crops.sample(images, *crop, SIZE, "border")
    points, presence = mesh.run(inputs)
    points = five(points)
    mirrored, _ = mesh.run(inputs.flip(3))
    mirrored = five(mirrored)[:, crops.MIRROR] * torch.tensor([-1.0, 1.0]) + torch.tensor([1.0, 0.0])
    iod = (points[:, 0] - points[:, 1]).norm(dim=1)
    apart = (points - mirrored).norm(dim=2).mean(1) / iod
    return crops.to_image((points + mirrored) / 2, *crop), presence, apart


def detect(detector, tile):
    """YuNet's best box `[4]` and roll for a tile, in 0..1 of it; None where it finds nothing."""
    canvas = np.full((CANVAS, CANVAS) + tile.shape[2:], 128, dtype=np.uint8)
    edge = (CANVAS - TILE) // 2
    canvas[edge : edge + TILE, edge : edge + TILE] = Image.fromarray(tile).resize((TILE, TILE), Image.BILINEAR)
    boxes, points, _ = detector.raw(canvas)
    if len(boxes) == 0:
        return None
    box = (boxes[0] - [edge, edge, 0, 0]) / TILE
    dx, dy = points[0, 1] - points[0, 0]
    return box, math.atan2(dy, dx)


def chunk(job):
    """One worker's share: tiles uint8 -> arrays by name, all coordinates in 0..1 of the tile."""
    tiles, model = job
    torch.set_num_threads(1)
    detector, mesh = yunet.Detector(model), Mesh()
    faces = [detect(detector, tile) for tile in tiles]
    found = np.array([face is not None for face in faces])
    boxes = np.array([face[0] if face else [0, 0, 1, 1] for face in faces], dtype=np.float32)
    angle = torch.tensor([face[1] if face else 0.0 for face in faces])
    size = tiles.shape[1]
    images = torch.from_numpy(tiles).float() / 255
    images = images[:, None].expand(-1, 3, -1, -1) if tiles.ndim == 3 else images.permute(0, 3, 1, 2)
    points, presence, apart = label(mesh, images, torch.from_numpy(boxes) * size, angle)
    labels = {"points": points / size, "presence": presence, "apart": apart}
    return {key: value.numpy() for key, value in labels.items()} | {"boxes": boxes, "found": found}


def good(labels):
    """Which labels to trust: a sure mesh that agrees with its mirror and five points laid out as a face, bool `[N]`."""
    points = torch.from_numpy(labels["points"])
    angle = crops.roll(points)
    upright = points @ crops.rotation(angle)
    right, left, nose, mouth_right, mouth_left = upright.unbind(1)
    iod = left[:, 0] - right[:, 0]
    drop = ((mouth_right + mouth_left)[:, 1] - (right + left)[:, 1]) / 2 / iod
    tip = (nose[:, 1] - right[:, 1]) / iod
    inside = ((points > -0.1) & (points < 1.1)).all(2).all(1)
    plausible = inside & (iod > 0.12) & (drop > 0.6) & (drop < 1.9) & (tip > 0.1) & (tip < drop) & (angle.abs() < 1)
    plausible &= (mouth_left[:, 0] - mouth_right[:, 0] > 0.2 * iod) & (mouth_left[:, 0] - mouth_right[:, 0] < 1.6 * iod)
    return plausible.numpy() & (labels["presence"] > 0.5) & (labels["apart"] < 0.12)


def load(name):
    """Labels of one set as a dict of arrays; run this file first."""
    path = prepare.CACHE / f"landmarks_{name}.npz"
    if not path.exists():
        raise FileNotFoundError(f"Cannot find {path.name}: run python label_landmarks.py first")
    with np.load(path) as file:
        return {key: file[key] for key in file.files}


def draw(path, tiles, labels, at, columns=20, size=96):
    """A montage of the tiles `at`: green points where the label is kept, red where it is dropped."""
    sheet = Image.new("RGB", (columns * size, -(-len(at) // columns) * size))
    for k, i in enumerate(at):
        tile = Image.fromarray(tiles[i]).convert("RGB").resize((size, size), Image.BILINEAR)
        pen, colour = ImageDraw.Draw(tile), (0, 255, 0) if labels["keep"][i] else (255, 0, 0)
        for n, (x, y) in enumerate(labels["points"][i] * size):
            pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=(255, 255, 0) if n == 0 else colour)
        sheet.paste(tile, (k % columns * size, k // columns * size))
    sheet.save(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", default=SETS, help=", ".join(SETS))
    parser.add_argument("--data", default=prepare.DATA)
    parser.add_argument("--detector", default=yunet.MODEL)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--montage", action="store_true", help="write cache/landmarks_<set>.png")
    args = parser.parse_args()
    teacher_model()
    for name in args.sets:
        tiles = prepare.load(name, args.data)["images"][: args.limit]
        jobs = [(tiles[i : i + 256], args.detector) for i in range(0, len(tiles), 256)]
        with multiprocessing.get_context("spawn").Pool(args.processes) as pool:
            parts = pool.map(chunk, jobs, chunksize=1)
        labels = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        labels["keep"] = good(labels)
        np.savez(prepare.CACHE / f"landmarks_{name}.npz", **labels)
        print(
            name,
            len(tiles),
            "detected",
            labels["found"].mean().round(4),
            "kept",
            labels["keep"].mean().round(4),
            flush=True,
        )
        if args.montage:
            pick = np.random.default_rng(1).permutation(len(tiles))
            dropped = pick[~labels["keep"][pick]][:80]
            draw(prepare.CACHE / f"landmarks_{name}.png", tiles, labels, np.concatenate([pick[:200], dropped]))
