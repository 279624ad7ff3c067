"""A trained run -> ONNX, checked, calibrated, and written into the manifest.

    python export.py mini_xception --name expression_mini_xception

The graph takes `image` `[batch, 1, size, size]` and gives `logits` (FERPlus, served), `logits_fer2013` (benchmark)
and `evidence` `[batch, 8, h, w]`, the served head's class maps whose spatial mean is the logit. Figures come after, by
evaluate.py.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

import align
import calibration
import evaluate
import goldens
import graph
import manifest
import prepare
import targets
import train
from task_expression import SPLIT

TOLERANCE = 1e-4
OUTPUTS = ["logits", "logits_fer2013", "evidence"]


class Served(nn.Module):
    """Evidence maps `[B, 15, h, w]` -> what the graph returns."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, image):
        maps = self.net(image)
        logits = maps.mean((2, 3))
        return logits[:, :SPLIT], logits[:, SPLIT:], maps[:, :SPLIT]


def export(net, size, file):
    """Write the graph: opset 17, batch axis dynamic, batch normalisation folded into the convolutions."""
    torch.onnx.export(
        Served(net).eval(), torch.zeros(2, 1, size, size), str(file), dynamo=False, opset_version=17,
        input_names=["image"], output_names=OUTPUTS, dynamic_axes={n: {0: "batch"} for n in ["image", *OUTPUTS]},
    )
    model = onnx.load(file)
    assert not any(node.op_type == "BatchNormalization" for node in model.graph.node), "Batch normalisation is left"
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, file)
    return model


def check(net, size, file):
    """Largest differences: torch to ONNX, alone to shuffled batches of 8 and 32, logits to the mean of the evidence."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    gen = torch.Generator().manual_seed(1)
    images = torch.rand(32, 1, size, size, generator=gen) * 2 - 1
    with torch.no_grad():
        expected = [o.numpy() for o in Served(net).eval()(images)]
    singles = [session.run(OUTPUTS, {"image": image[None].numpy()}) for image in images]
    alone = [np.concatenate(parts) for parts in zip(*singles)]
    order = torch.randperm(32, generator=gen)
    batch = 0.0
    for count in (8, 32):
        chosen = order[:count].numpy()
        together = session.run(OUTPUTS, {"image": images[chosen].numpy()})
        batch = max(batch, *(float(np.abs(a[chosen] - b).max()) for a, b in zip(alone, together)))
    return {
        "parity": max(float(np.abs(a - b).max()) for a, b in zip(alone, expected)),
        "batch": batch,
        "evidence": float(np.abs(alone[2].mean((2, 3)) - alone[0]).max()),
    }




def entry(name, net, module, model, file, state):
    facts = graph.describe(model)
    shapes = {o["name"]: o["shape"] for o in facts["outputs"]}
    stored = (v for v in net.state_dict().values() if v.dtype.is_floating_point)
    config = state["config"]
    return {
        "name": name, "version": "1.0.0", "task": "expression", "system": module.SYSTEM,
        **manifest.file_facts(file), "opset": facts["opset"], "precision": "fp32",
        "parameters": sum(v.numel() for v in stored),
        "multiplyAdds": graph.multiply_adds(model, [1, 1, module.SIZE, module.SIZE]),
        "inputs": [
            {"name": "image", "shape": ["batch", 1, module.SIZE, module.SIZE], "layout": "NCHW", "color": "gray",
             "mean": [0.5], "std": [0.5], "template": align.template()}
        ],
        "outputs": [
            {"name": "logits", "shape": shapes["logits"], "labels": targets.EXPRESSIONS},
            {"name": "logits_fer2013", "shape": shapes["logits_fer2013"], "labels": targets.FER2013,
             "role": "benchmark"},
            {"name": "evidence", "shape": shapes["evidence"]},
        ],
        "calibration": {}, "explanations": ["evidence"], "variants": [], "metrics": [],
        "license": "MIT",
        "dataLicense": "FER2013: Kaggle challenge data (Goodfellow et al. 2013), licence unknown; FERPlus labels: MIT",
        "source": f"trained by models/training/train.py {config['network']}: {state['step']} steps of a schedule of "
        f"{config['epochs']} epochs, batch {config['batch']}, seed {config['seed']}",
    }


def main(args):
    net, module, state = evaluate.load_run(args.runs / args.run)
    folder = manifest.MODELS / args.name
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{args.name}.onnx"
    model = export(net, module.SIZE, file)
    differences = check(net, module.SIZE, file)
    assert max(differences.values()) <= TOLERANCE, f"Exported graph differs: {differences}"
    item = entry(args.name, net, module, model, file, state)
    logits, task = evaluate.graph_logits(item, args.data)
    known = task.majority >= 0
    item["calibration"] = calibration.calibrate(logits[known, :SPLIT], task.majority[known])
    manifest.update(item)
    goldens.model(item)
    print(json.dumps({"bytes": item["bytes"], "differences": differences, **item["calibration"]["measured"]}, indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="the run's name, which is the network's unless train.py was told otherwise")
    parser.add_argument("--name", required=True, help="the model's name in the manifest")
    parser.add_argument("--runs", type=Path, default=train.RUNS)
    parser.add_argument("--data", type=Path, default=prepare.DATA)
    main(parser.parse_args())
