"""Photos to try the whole pipeline on, made of tiles and crops whose truth is known.

    python make_photos.py            # -> cache/photos/: tiles/*.jpg, small/*.jpg, tables, the bare tiles

`tiles`: FERPlus valid tiles with a majority label, a random draw, pasted one to three to a photo, as wide as a sixth to
a half of its longer side, four in ten of them turned by up to 15 degrees, on gradients, smooth noise or a picture
without people.
`small`: wild head crops, shrunk until the face's box has a given shorter side, in 1920 x 1280 photos,
alone and beside one large face; and large faces only. Tight crops without hair and shoulders are harder than life,
so the sets `shrunk...` hold whole photos of people shrunk instead: the samples that come with the benchmark's peers, if
`deno task bench` has installed them. The same seed gives the same photos.
"""

import argparse
import csv
import math
import shutil
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

import prepare
import targets
import yunet

SAMPLES = prepare.HERE.parents[1] / "tests" / "bench" / "peers" / "node_modules" / "@vladmandic" / "face-api" / "demo"
PHOTOS = prepare.CACHE / "photos"
TILES = 1500
SHARE = (1 / 6, 1 / 2)
SIDES = (24, 32, 48, 64, 96, 160)
SHRUNK = (12, 16, 24, 32, 48, 64, 96)
SMALL_EACH = 40
LARGE = 420
SHARP = Image.BICUBIC


def smooth_noise(rng, size):
    """Noise of two grains, blurred: a wall, a field, a sky."""
    coarse = [Image.fromarray(rng.integers(0, 256, (n, n, 3), dtype=np.uint8)).resize(size, SHARP) for n in (3, 24)]
    return Image.blend(*coarse, 0.25).filter(ImageFilter.GaussianBlur(3))


def gradient(rng, size):
    corners = rng.integers(0, 256, (2, 2, 3), dtype=np.uint8)
    return Image.fromarray(corners).resize(size, Image.BILINEAR)


def still(rng, size, picture):
    """A random window of a picture without people, mirrored at random."""
    share = rng.uniform(0.5, 1)
    width = min(picture.width, picture.height * size[0] / size[1]) * share
    height = width * size[1] / size[0]
    x, y = rng.uniform(0, picture.width - width), rng.uniform(0, picture.height - height)
    window = picture.resize(size, SHARP, box=(x, y, x + width, y + height))
    return window.transpose(Image.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else window


def background(rng, size, picture):
    kind = rng.integers(3)
    return still(rng, size, picture) if kind == 2 else (smooth_noise, gradient)[kind](rng, size)


def paste(photo, tile, centre, side, degrees):
    """Paste a square tile at `side` px, turned clockwise about its centre."""
    if degrees == 0:
        photo.paste(tile.resize((side, side), SHARP), (centre[0] - side // 2, centre[1] - side // 2))
        return
    large = tile.resize((side, side), SHARP).convert("RGBA").rotate(-degrees, SHARP, expand=True)
    corner = centre[0] - large.width // 2, centre[1] - large.height // 2
    photo.paste(large.convert("RGB"), corner, large.getchannel("A"))


def reach(side, degrees):
    """Half the width of the upright square that holds a turned one."""
    angle = math.radians(abs(degrees))
    return math.ceil(side / 2 * (math.cos(angle) + math.sin(angle)))


def place(rng, size, half, taken, gap=8):
    """A centre whose square touches no other, or none after 200 tries."""
    for _ in range(200):
        x, y = (int(rng.integers(half, side - half)) for side in size)
        if all(max(abs(x - a), abs(y - b)) > half + other + gap for a, b, other in taken):
            return x, y
    return None


def save(rng, photo, path):
    photo.save(path, quality=int(rng.integers(85, 96)))


def write_csv(path, rows):
    with open(path, "w", newline="") as file:
        table = csv.DictWriter(file, rows[0].keys())
        table.writeheader()
        table.writerows(rows)


def tile_photos(data, picture, count=TILES, seed=1):
    """Photos of FER tiles; `truth.csv` gives label, square and turn, `tiles.bin` the bare tiles in its order."""
    rng = np.random.default_rng(seed)
    fer = prepare.load("fer_valid", data)
    label = targets.majority(fer["votes"])
    at = rng.permutation(np.flatnonzero(label >= 0))[:count]
    rows, number = [], 0
    (PHOTOS / "tiles").mkdir(parents=True)
    while len(rows) < len(at):
        long = int(rng.integers(800, 1921))
        size = (long, round(long * rng.uniform(0.6, 0.8)))
        size = size[::-1] if rng.random() < 0.3 else size
        photo, taken, name = background(rng, size, picture), [], f"tiles/{number:04}.jpg"
        for index in at[len(rows) : len(rows) + int(rng.integers(1, 4))]:
            side = round(long * rng.uniform(*SHARE))
            degrees = round(float(rng.uniform(-15, 15)), 1) if rng.random() < 0.4 else 0
            half = reach(side, degrees)
            centre = place(rng, size, half, taken)
            if centre is None:
                break
            taken.append((*centre, half))
            paste(photo, Image.fromarray(fer["images"][index]).convert("RGB"), centre, side, degrees)
            rows.append(
                {
                    "photo": name,
                    "tile": int(index),
                    "label": targets.EXPRESSIONS[label[index]],
                    "x": centre[0],
                    "y": centre[1],
                    "side": side,
                    "share": round(side / long, 3),
                    "degrees": degrees,
                }
            )
        save(rng, photo, PHOTOS / name)
        number += 1
    write_csv(PHOTOS / "truth.csv", rows)
    (PHOTOS / "tiles.bin").write_bytes(fer["images"][[row["tile"] for row in rows]].tobytes())
    return len(rows), number


def small_photos(data, picture, seed=2):
    """Photos of wild heads; `small.csv` has one row a face: its box, and which set the photo belongs to."""
    rng = np.random.default_rng(seed)
    heads = prepare.load("wild", data)["images"]
    marks = dict(np.load(prepare.CACHE / "landmarks_wild.npz"))
    usable = rng.permutation(np.flatnonzero(marks["keep"] & marks["found"]))
    size, rows, number, used = (1920, 1280), [], 0, 0
    (PHOTOS / "small").mkdir(parents=True)

    def add(photo, name, group, side, taken):
        nonlocal used
        index = usable[used % len(usable)]
        used += 1
        x, y, width, height = marks["boxes"][index]
        whole = round(side / min(width, height))
        centre = place(rng, size, math.ceil(whole / 2), taken) or (whole // 2, whole // 2)
        taken.append((*centre, math.ceil(whole / 2)))
        paste(photo, Image.fromarray(heads[index]), centre, whole, 0)
        left, top = centre[0] - whole // 2, centre[1] - whole // 2
        box = np.array([left + x * whole, top + y * whole, width * whole, height * whole]).round(1).tolist()
        rows.append({"photo": name, "set": group, "side": side, **dict(zip(("x", "y", "width", "height"), box))})

    def shrink(photo, name, group, side, taken):
        """A whole sample photo, its faces' shorter sides `side` px in the middle, and a row for each face."""
        sample, boxes = samples[number % len(samples)]
        scale = side / np.median(boxes[:, 2:].min(1))
        whole = round(sample.width * scale), round(sample.height * scale)
        corner = tuple(int(rng.integers(0, room - length + 1)) for room, length in zip(size, whole))
        photo.paste(sample.resize(whole, Image.LANCZOS), corner)
        half = math.ceil(max(whole) / 2)
        taken.append((corner[0] + whole[0] // 2, corner[1] + whole[1] // 2, half))
        for box in (boxes * scale + [*corner, 0, 0]).round(1).tolist():
            rows.append({"photo": name, "set": group, "side": side, **dict(zip(("x", "y", "width", "height"), box))})

    files = sorted(SAMPLES.glob("sample*.jpg"))
    samples = [(image, yunet.Detector().detect(np.asarray(image), 640)[0]) for image in map(Image.open, files)]
    sets = [(group, side) for group in ("alone", "besideLarge") for side in SIDES] + [("largeOnly", LARGE)]
    if samples:
        sets += [(group, side) for group in ("shrunk", "shrunkBesideLarge") for side in SHRUNK]
    for group, side in sets:
        for _ in range(SMALL_EACH):
            photo, taken, name = background(rng, size, picture), [], f"small/{number:04}.jpg"
            (shrink if group.startswith("shrunk") else add)(photo, name, group, side, taken)
            if group.endswith("esideLarge"):
                add(photo, name, group, LARGE, taken)
            save(rng, photo, PHOTOS / name)
            number += 1
    write_csv(PHOTOS / "small.csv", rows)
    return len(rows), number


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=prepare.DATA)
    parser.add_argument("--only", choices=["tiles", "small"])
    args = parser.parse_args()
    picture = Image.open(args.data / "photos" / "coffee.png").convert("RGB")
    for name, make in {"tiles": tile_photos, "small": small_photos}.items():
        if args.only in (None, name):
            shutil.rmtree(PHOTOS / name, ignore_errors=True)
            print(f"{name}: %d in %d photos" % make(args.data, picture))
