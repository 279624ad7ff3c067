"""Alignment of a face to a model's template: the reference that src/pipeline/preprocess.ts follows number by number.

Landmarks are in pixel-edge units (x = 0 is the left edge of the picture); inside, pixel centres are integers, so a
landmark sits at x - 0.5 and a template point t in 0..1 at t * size - 0.5.
"""

import json
import math
from pathlib import Path

import numpy as np

POINTS = ["rightEye", "leftEye", "noseTip", "rightMouthCorner", "leftMouthCorner"]
GRAY = np.array([0.299, 0.587, 0.114])
FILE = Path(__file__).parent / "template.json"
# YuNet-s on 600 FER2013 valid tiles; serves until measure_template.py has written the file above.
FIRST = {
    "rightEye": [0.302, 0.372],
    "leftEye": [0.684, 0.377],
    "noseTip": [0.482, 0.584],
    "rightMouthCorner": [0.330, 0.754],
    "leftMouthCorner": [0.640, 0.762],
}


def template(file=FILE):
    """Where the five points land, in 0..1 of the input, as measured on the training tiles."""
    measured = json.loads(file.read_text()) if file.exists() else FIRST
    return {name: measured[name] for name in POINTS}


def similarity(source, target):
    """Least-squares scale, rotation and shift, no reflection, between points `[5, 2]`, as a matrix `[2, 3]`."""
    (x, y), (u, v) = (source - source.mean(0)).T, (target - target.mean(0)).T
    norm = (x * x + y * y).sum()
    a, b = (x * u + y * v).sum() / norm, (x * v - y * u).sum() / norm
    linear = np.array([[a, -b], [b, a]])
    return np.column_stack([linear, target.mean(0) - linear @ source.mean(0)])


def shrink(image, factor):
    """Means over factor x factor blocks of `[H, W, C]`; blocks cut by an edge average what is there."""
    rows, columns = np.arange(0, image.shape[0], factor), np.arange(0, image.shape[1], factor)
    sums = np.add.reduceat(np.add.reduceat(image, rows, 0), columns, 1)
    counts = np.diff([*rows, image.shape[0]])[:, None] * np.diff([*columns, image.shape[1]])[None]
    return sums / counts[..., None]


def sample(image, x, y):
    """Bilinear samples of `[H, W, C]` at `x`, `y`; a neighbour outside the picture counts as 0."""
    height, width = image.shape[:2]
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    out = np.zeros((*x.shape, image.shape[2]))
    for dy in (0, 1):
        for dx in (0, 1):
            column, row = x0 + dx, y0 + dy
            weight = (1 - np.abs(x - column)) * (1 - np.abs(y - row))
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            pixels = image[row.clip(0, height - 1), column.clip(0, width - 1)]
            out += (weight * inside)[..., None] * pixels
    return out


def align(image, landmarks, points, size):
    """uint8 RGB `[H, W, 3]` -> gray `[size, size]` in 0..255, with the matrix and the reduction that were used.

    The matrix maps output pixel centres to the picture's pixel centres. Where it shrinks, the picture is first reduced
    by the whole part of the scale.
    """
    matrix = similarity(np.asarray(points) * size - 0.5, np.asarray(landmarks) - 0.5)
    factor = max(1, math.floor(math.hypot(matrix[0, 0], matrix[1, 0])))
    v, u = np.mgrid[0:size, 0:size]
    x, y = np.einsum("ij,jhw->ihw", matrix, np.stack([u, v, np.ones_like(u)]))
    reduced = shrink(image.astype(np.float64), factor)
    return sample(reduced, (x + 0.5) / factor - 0.5, (y + 0.5) / factor - 0.5) @ GRAY, matrix, factor
