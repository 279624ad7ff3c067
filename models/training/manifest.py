"""models/manifest.json, the only place that knows a model's numbers."""

import fcntl
import hashlib
import json
from pathlib import Path

MODELS = Path(__file__).resolve().parents[1]
FILE = MODELS / "manifest.json"


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def file_facts(path):
    """`file` (relative to models/), `sha256` and `bytes` of one model file."""
    path = Path(path).resolve()
    return {"file": str(path.relative_to(MODELS)), "sha256": sha256(path), "bytes": path.stat().st_size}


def read():
    return json.loads(FILE.read_text()) if FILE.exists() else []


def entry(name):
    for item in read():
        if item["name"] == name:
            return item
    raise KeyError(f"Cannot find {name} in {FILE.name}")


def update(item):
    """Insert or replace the entry of `item["name"]`; entries stay sorted by name."""
    with open(FILE.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        others = [old for old in read() if old["name"] != item["name"]]
        text = json.dumps(sorted(others + [item], key=lambda x: x["name"]), indent=2)
        partial = FILE.with_suffix(".partial")
        partial.write_text(text + "\n")
        partial.replace(FILE)
