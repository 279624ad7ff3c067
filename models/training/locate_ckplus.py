"""Five points in every CK+ tile, by the detector and the landmark net as served.

    python locate_ckplus.py

The set's tiles are cropped frame by frame, so a neutral does not lie on its peak; training and figures align both, as at
run time. Writes cache/ckplus_points.npz: `frames` `[N, 5, 5, 2]` and `neutral` `[M, 5, 2]` in 0..1 of the tile, NaN where
no face was found.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

import landmarks
import measure_template
import prepare
import yunet

EDGE, TILE = measure_template.EDGE, measure_template.TILE


def locate(tiles, detector, net):
    """Points `[N, 5, 2]` in 0..1 of uint8 tiles `[N, H, W]`, NaN where there is no face."""
    points = np.full((len(tiles), 5, 2), np.nan)
    for i, tile in enumerate(tiles):
        if face := measure_template.find(measure_template.place(tile), detector, net):
            points[i] = (face[0] - EDGE) / TILE
    return points


def load():
    path = prepare.CACHE / "ckplus_points.npz"
    if not path.exists():
        raise FileNotFoundError(f"Cannot find {path.name}: run locate_ckplus.py")
    with np.load(path) as file:
        return {key: file[key] for key in file.files}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=prepare.DATA)
    arrays = prepare.load("ckplus", parser.parse_args().data)
    torch.set_num_threads(1)
    detector, net = yunet.Detector(), landmarks.Landmarks()
    frames = locate(arrays["frames"].reshape(-1, 48, 48), detector, net)
    points = {
        "frames": frames.reshape(-1, prepare.CK_FRAMES, 5, 2),
        "neutral": locate(arrays["neutral"], detector, net),
    }
    np.savez(prepare.CACHE / "ckplus_points.npz", **points)
    print({key: f"{np.isfinite(value[..., 0, 0]).mean():.1%} found" for key, value in points.items()})
