"""An exported model's dense convolutions -> static int8, kept only where accuracy and WASM time both say so.

    python quantize.py expression_mien          # after export.py and check_heatmaps.py, before evaluate.py

Weights and activations are unsigned, weights per channel: WASM takes a fifth less time for them than for signed ones, and
signed weights beside unsigned activations overflow on CPUs without VNNI. Ranges come from training tiles, cut at the
99.997th percentile. The convolution that reads the image stays in float: its one input channel would lose what all others
build on. Time is onnxruntime-web's, float and int8 in turn in one process (`tests/bench/graph_time.ts`, by Deno).
Calibration and golden file are made anew, the float file is replaced, and what was measured goes into the manifest
entry's `quantization`. Nothing is changed where it does not pay: the script says why and fails.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

import augment
import calibration
import evaluate
import goldens
import manifest
import precision
import prepare
import train

AGREEMENT = 0.99  # least share of valid tiles that keep their label
LOSS = 0.003  # most accuracy that a head may lose
TILES = 1024
PERCENTILE = 99.997
SEED = 1
TIMER = manifest.MODELS.parent / "tests" / "bench" / "graph_time.ts"


class Tiles(CalibrationDataReader):
    """Training tiles as the graph wants them, 32 at a time."""

    def __init__(self, entry, data, count):
        spec = entry["inputs"][0]
        task = train.task(entry["task"])("train", spec["shape"][2], data)
        order = torch.randperm(len(task), generator=torch.Generator().manual_seed(SEED))[:count]
        self.feeds = ({spec["name"]: task.batch(some).numpy()} for some in order.split(32))

    def get_next(self):
        return next(self.feeds, None)


def to_int8(source, target, tiles):
    model = onnx.load(source)
    image = model.graph.input[0].name
    reads_image = [node.name for node in model.graph.node if node.op_type == "Conv" and node.input[0] == image]
    quantize_static(
        source,
        target,
        tiles,
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QUInt8,
        op_types_to_quantize=["Conv", "Add", "MaxPool"],
        nodes_to_exclude=reads_image,
        calibrate_method=CalibrationMethod.Percentile,
        extra_options={"CalibPercentile": PERCENTILE},
    )


def wasm_ms(files, side):
    """Milliseconds of each graph for one face in onnxruntime-web, one thread; the graphs take turns."""
    command = ["deno", "run", "--allow-all", str(TIMER), f"--side={side}", *map(str, files)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, cwd=manifest.MODELS.parent)
    return [row["ms"] for row in json.loads(answer.stdout)]


def wasm_ratio(source, target, side):
    """int8's time over float's."""
    before, after = wasm_ms([source, target], side)
    return round(after / before, 3)


def against(report):
    """Why int8 should not be kept."""
    reasons = []
    if report["sameLabel"] < AGREEMENT:
        reasons.append(f"only {report['sameLabel']:.2%} of the tiles keep their label")
    for row in report["accuracy"]:
        if row["fp32"] - row["int8"] > LOSS:
            reasons.append(f"{row['head']} falls from {row['fp32']:.2%} to {row['int8']:.2%}")
    if report["timeRatio"] >= 1:
        reasons.append(f"it takes {report['timeRatio']} times as long in WASM")
    return reasons


def main(args):
    entry = manifest.entry(args.model)
    if entry["precision"] != "fp32":
        raise SystemExit(f"Cannot quantize {args.model}: it is {entry['precision']} already; export it first")
    source = manifest.MODELS / entry["file"]
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / source.name
        to_int8(source, target, Tiles(entry, args.data, args.tiles))
        before, task = evaluate.graph_logits(entry, args.data)
        after = evaluate.run_graph(entry | {"file": target}, augment.plain(task.images, task.size), task.HEADS)
        report = {
            **precision.compare(before, after, task, entry["calibration"]["temperature"], "int8"),
            "bytes": {"fp32": entry["bytes"], "int8": target.stat().st_size},
            "timeRatio": wasm_ratio(source, target, task.size),
            "command": f"python models/training/quantize.py {args.model}"
            + (f" --tiles {args.tiles}" if args.tiles != TILES else ""),
        }
        print(json.dumps(report, indent=2))
        reasons = against(report)
        if reasons:
            raise SystemExit(f"{args.model} stays in float: {'; '.join(reasons)}")
        source.write_bytes(target.read_bytes())
    entry |= manifest.file_facts(source) | {"precision": "int8", "quantization": report}
    entry["calibration"] = calibration.calibrate(*calibration.served(after, task))
    goldens.model(entry)
    manifest.update(entry)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="an exported model's name")
    parser.add_argument("--tiles", type=int, default=TILES, help="training tiles that give the ranges")
    parser.add_argument("--data", type=Path, default=prepare.DATA)
    main(parser.parse_args())
