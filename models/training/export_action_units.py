"""Trained action units -> ONNX, checked, with thresholds, golden file and manifest entry.

    python export_action_units.py cednn --name action_units_cednn

The graph takes `image` and `neutral` `[batch, 1, size, size]`, makes the difference maps itself, and gives `logits`
`[batch, units]` and the five binary `maps` `[batch, 5, size, size]`. Without a neutral the image is fed as its own: the maps are
then empty and the answer is the plain trunk's. Thresholds come from the held-out scores of all ten folds. The averaged
weights are also written as they were before folding, in half precision, for training to start from. Figures come after,
by evaluate_action_units.py.
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
import cednn
import difference_maps
import evaluate_action_units
import goldens
import graph
import manifest
import prepare
import task_action_units
import train
import weights

TOLERANCE = 1e-4
INPUTS, OUTPUTS = ["image", "neutral"], ["logits", "maps"]


class Served(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, image, neutral):
        binary, maps = self.net.maps(image, neutral)
        return self.net.head(self.net.trunk(image, maps).mean((2, 3))), binary


def export(net, file):
    """Write the graph: opset 17, batch axis dynamic, batch normalisation folded into the convolutions."""
    example = torch.rand(2, 1, cednn.SIZE, cednn.SIZE)
    torch.onnx.export(
        Served(net).eval(),
        (example, example.flip(0)),
        str(file),
        dynamo=False,
        opset_version=17,
        input_names=INPUTS,
        output_names=OUTPUTS,
        dynamic_axes={name: {0: "batch"} for name in [*INPUTS, *OUTPUTS]},
    )
    model = onnx.load(file)
    assert not any(node.op_type == "BatchNormalization" for node in model.graph.node), "Batch normalisation is left"
    maps = next(value for value in model.graph.output if value.name == "maps").type.tensor_type.shape.dim
    for axis, side in zip(maps[1:], (len(difference_maps.THRESHOLDS), cednn.SIZE, cednn.SIZE)):
        axis.dim_value = side
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, file)
    return model


def faces(count):
    """Made pictures that two faces could be: smooth noise, and the same a little shifted, darker and changed in part."""
    gen = torch.Generator().manual_seed(1)
    coarse = torch.rand(count, 1, 9, 9, generator=gen)
    face = nn.functional.interpolate(coarse, (cednn.SIZE, cednn.SIZE), mode="bicubic").clamp(0, 1)
    neutral = face.roll((1, -2), (2, 3)) * 0.8
    neutral[:, :, 30:40, 14:34] *= torch.rand(count, 1, 1, 1, generator=gen)
    return [image * 2 - 1 for image in (face, neutral)]


def check(net, file):
    """Largest differences: torch to ONNX, alone to shuffled batches of 8 and 32, no neutral to the plain trunk."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    run = lambda image, neutral: session.run(OUTPUTS, {"image": image.numpy(), "neutral": neutral.numpy()})
    image, neutral = faces(32)
    with torch.no_grad():
        expected = [o.numpy() for o in Served(net).eval()(image, neutral)]
        plain = net.head(net.trunk(image).mean((2, 3))).numpy()
    alone = [np.concatenate(parts) for parts in zip(*(run(a[None], b[None]) for a, b in zip(image, neutral)))]
    order, batch = torch.randperm(32, generator=torch.Generator().manual_seed(1)), 0.0
    for count in (8, 32):
        chosen = order[:count]
        together = run(image[chosen], neutral[chosen])
        batch = max(batch, *(float(np.abs(a[chosen.numpy()] - b).max()) for a, b in zip(alone, together)))
    logits, maps = run(image, image)
    return {
        "parity": max(float(np.abs(a - b).max()) for a, b in zip(alone, expected)),
        "batch": batch,
        "alone": max(float(np.abs(logits - plain).max()), float(np.abs(maps).max())),
    }


def entry(name, net, model, file, state, served):
    facts, config, size = graph.describe(model), state["config"], cednn.SIZE
    shapes = {o["name"]: o["shape"] for o in facts["outputs"]}
    spec = {"shape": ["batch", 1, size, size], "layout": "NCHW", "color": "gray", "mean": [0.5], "std": [0.5]}
    template = align.template(task_action_units.ActionUnits.TEMPLATE)
    return {
        "name": name,
        "version": "1.0.0",
        "task": "actionUnits",
        "system": cednn.SYSTEM,
        **manifest.file_facts(file),
        "opset": facts["opset"],
        "precision": "fp32",
        "parameters": sum(v.numel() for v in net.state_dict().values() if v.dtype.is_floating_point),
        "multiplyAdds": graph.multiply_adds(model, [1, 1, size, size]),
        "inputs": [{"name": each, **spec, "template": template} for each in INPUTS],
        "outputs": [
            {"name": "logits", "shape": shapes["logits"], **served},
            {"name": "maps", "shape": shapes["maps"]},
        ],
        "explanations": ["difference"],
        "variants": [],
        "metrics": [],
        "license": "MIT",
        "dataLicense": task_action_units.ActionUnits.DATA_LICENSE,
        "source": f"trained by models/training/cross_validate.py {config['network']} --folds all: {state['step']} steps of "
        f"a schedule of {config['epochs']} epochs, batch {config['batch']}, seed {config['seed']}, the trunk started from "
        "models/training/train.py cednn_expression",
    }


def main(args):
    folder = manifest.MODELS / args.name
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{args.name}.onnx"
    state = torch.load(args.runs / args.run / "state.pt", weights_only=True)
    pooled = evaluate_action_units.pool(args.runs / args.run, args.data)
    net = cednn.build(len(pooled.units))
    net.load_state_dict(state["ema"])
    model = export(net.eval(), file)
    differences = check(net, file)
    assert max(differences.values()) <= TOLERANCE, f"Exported graph differs: {differences}"
    thresholds = [round(t, 3) for t in evaluate_action_units.thresholds(pooled.logits["own"], pooled.labels)]
    signatures = task_action_units.ActionUnits.signatures(prepare.load("ckplus", args.data))
    served = {"labels": pooled.units, "thresholds": thresholds, "signatures": signatures}
    item = entry(args.name, net, model, file, state, served)
    weights.save(state["ema"], state["config"]["network"], folder / weights.NAME)
    item["weights"] = manifest.file_facts(folder / weights.NAME)
    goldens.model(item)
    manifest.update(item)
    print(
        json.dumps({"bytes": item["bytes"], "multiplyAdds": item["multiplyAdds"], "differences": differences}, indent=2)
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="the run's name, which is the network's")
    parser.add_argument("--name", required=True, help="the model's name in the manifest")
    parser.add_argument("--runs", type=Path, default=train.RUNS)
    parser.add_argument("--data", type=Path, default=prepare.DATA)
    main(parser.parse_args())
