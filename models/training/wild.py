"""Faces from the open web, cropped as at run time: `wild` crops with five trusted points, aligned to the template, gray.

They have no labels that count here: `teach.py --wild` asks teachers for answers. Points: `label_landmarks.py wild`.
"""

import numpy as np

import align
import label_landmarks
import prepare

DATA_LICENSE = "wild: muxspace/facial_expressions, Apache-2.0"
SIZE = 48  # of FER2013's tiles, beside which they stand


def tiles(data=prepare.DATA):
    """uint8 `[N, 48, 48]`, in the order of the sheets. Raises FileNotFoundError where the points are missing."""
    labels, images = label_landmarks.load("wild"), prepare.load("wild", data)["images"]
    points = np.array(list(align.template().values()))
    rows = np.flatnonzero(labels["keep"])
    faces = [align.align(images[i], labels["points"][i] * images.shape[1], points, SIZE)[0] for i in rows]
    return np.stack(faces).round().astype(np.uint8)
