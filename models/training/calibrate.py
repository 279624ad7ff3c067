"""Calibrate a served model anew: its temperature and label sets, from what its graph answers on valid.

    python calibrate.py expression_mien         # export.py and quantize.py do the same by themselves

The entry's `calibration` is written anew but for what evaluate_cues.py put there. Temperatures are in what evaluate.py and
evaluate_cues.py measure, so they come after it.
"""

import argparse
import json
from pathlib import Path

import calibration
import evaluate
import manifest
import prepare


def main(args):
    for name in args.models:
        entry = manifest.entry(name)
        logits, task = evaluate.graph_logits(entry, args.data)
        entry["calibration"] |= calibration.calibrate(*calibration.served(logits, task))
        manifest.update(entry)
        print(name, json.dumps(entry["calibration"]["measured"], indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", help="exported models' names")
    parser.add_argument("--data", type=Path, default=prepare.DATA)
    main(parser.parse_args())
