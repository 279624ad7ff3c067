"""Sheets of tiles -> arrays, cached once.

    python prepare.py --data ../../../shared/data

Writes one `.npz` per set into `cache/` (never committed): images as uint8, labels as read.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from PIL import Image

import targets

HERE = Path(__file__).parent
CACHE = HERE / "cache"
DATA = HERE.parents[2] / "shared" / "data"


def tiles(folder, rows, size, mode):
    """Cut the tiles that `rows` name (sheet, row, col) from their sheets: uint8 `[N, size, size(, 3)]`."""
    sheets = {}
    shape = (len(rows), size, size) + ((3,) if mode == "RGB" else ())
    out = np.empty(shape, dtype=np.uint8)
    for i, row in enumerate(rows):
        name = row["sheet"]
        if name not in sheets:
            sheets[name] = np.asarray(Image.open(folder / name).convert(mode))
        y, x = int(row["row"]) * size, int(row["col"]) * size
        out[i] = sheets[name][y : y + size, x : x + size]
    return out


def read_csv(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def prepare_fer(data, split):
    rows = read_csv(data / "fer" / f"{split}.csv")
    return {
        "images": tiles(data / "fer", rows, 48, "L"),
        "votes": np.array([[int(r[v]) for v in targets.VOTES] for r in rows], dtype=np.uint8),
        "fer2013": targets.fer2013([r["fer2013"] for r in rows]),
    }


def prepare_wild(data):
    rows = read_csv(data / "wild" / "wild.csv")
    return {
        "images": tiles(data / "wild", rows, 96, "RGB"),
        "expression": np.array([r["expression"] for r in rows]),
    }


def prepare_utkface(data):
    rows = read_csv(data / "utkface" / "utkface.csv")
    return {
        "images": tiles(data / "utkface", rows, 64, "RGB"),
        "age": np.array([int(r["age"]) for r in rows]),
        "gender": np.array([r["gender"] for r in rows]),
        "ethnicity": np.array([r["ethnicity"] for r in rows]),
    }


CK_FRAMES = 5  # onset, apex, three peaks


def prepare_ckplus(data):
    """A row per sequence, a row per further neutral frame; `frames` are onset, apex and the last three of the peak."""
    rows, neutral = (read_csv(data / "ckplus" / f"{name}.csv") for name in ("sequences", "extra-neutral"))
    at = [{"sheet": "sequences.png", "row": r["row"], "col": col} for r in rows for col in range(CK_FRAMES)]
    units = [key for key in rows[0] if key.startswith("AU")]
    return {
        "frames": tiles(data / "ckplus", at, 48, "L").reshape(-1, CK_FRAMES, 48, 48),
        "has_onset": np.array([r["has_onset"] == "1" for r in rows]),
        "has_apex": np.array([r["has_apex"] == "1" for r in rows]),
        "subject": np.array([r["subject"] for r in rows]),
        "emotion": np.array([r["emotion"] for r in rows]),
        "units": np.array(units),
        "coded": np.array([[int(r[unit]) for unit in units] for r in rows], dtype=np.uint8),
        "neutral": tiles(data / "ckplus", [r | {"sheet": "extra-neutral.png"} for r in neutral], 48, "L"),
        "neutral_subject": np.array([r["subject"] for r in neutral]),
    }


SETS = {
    "fer_train": lambda data: prepare_fer(data, "train"),
    "fer_valid": lambda data: prepare_fer(data, "valid"),
    "wild": prepare_wild,
    "utkface": prepare_utkface,
    "ckplus": prepare_ckplus,
}


def load(name, data=DATA):
    """Arrays of one set as a dict, built from the sheets on first use."""
    path = CACHE / f"{name}.npz"
    if not path.exists():
        if not Path(data).exists():
            raise FileNotFoundError(f"Cannot find the training data at {data}: pass --data")
        CACHE.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, **SETS[name](Path(data)))
        partial.rename(path)
    with np.load(path) as file:
        return {key: file[key] for key in file.files}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    data = parser.parse_args().data
    for name in SETS:
        arrays = load(name, data)
        print(name, {key: value.shape for key, value in arrays.items()})
