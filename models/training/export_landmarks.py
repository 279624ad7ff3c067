"""The trained landmark net -> ONNX, checked, with its golden file and manifest entry.

    python export_landmarks.py

Figures come after, by evaluate_landmarks.py.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

import crops
import goldens
import graph
import landmark_net
import landmarks
import manifest
import train

TOLERANCE = 1e-4
OUTPUTS = ["points", "presence"]


def export(net, file):
    """Write the graph: opset 17, batch axis dynamic, batch normalisation folded into the convolutions."""
    torch.onnx.export(
        net.eval(),
        torch.zeros(2, 1, landmark_net.SIZE, landmark_net.SIZE),
        str(file),
        dynamo=False,
        opset_version=17,
        input_names=["image"],
        output_names=OUTPUTS,
        dynamic_axes={name: {0: "batch"} for name in ["image", *OUTPUTS]},
    )
    model = onnx.load(file)
    assert not any(node.op_type == "BatchNormalization" for node in model.graph.node), "Batch normalisation is left"
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, file)
    return model


def check(net, file):
    """Largest differences: torch against ONNX, and one image alone against in shuffled batches of 8 and 32."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    run = lambda images: np.concatenate(session.run(OUTPUTS, {"image": images.numpy()}), 1)
    gen = torch.Generator().manual_seed(1)
    images = torch.rand(32, 1, landmark_net.SIZE, landmark_net.SIZE, generator=gen) * 2 - 1
    with torch.no_grad():
        expected = torch.cat(net.eval()(images), 1).numpy()
    alone = np.concatenate([run(image[None]) for image in images])
    order = torch.randperm(32, generator=gen)
    return {
        "parity": float(np.abs(alone - expected).max()),
        "batch": max(float(np.abs(run(images[order[:n]]) - alone[order[:n]]).max()) for n in (8, 32)),
    }


def entry(model, file, state):
    facts, config, size = graph.describe(model), state["config"], landmark_net.SIZE
    return {
        "name": landmarks.NAME,
        "version": "1.0.0",
        "task": "faceLandmarks",
        "system": landmark_net.SYSTEM,
        **manifest.file_facts(file),
        "opset": facts["opset"],
        "precision": "fp32",
        "parameters": graph.parameters(model),
        "multiplyAdds": graph.multiply_adds(model, [1, 1, size, size]),
        "inputs": [
            {
                "name": "image",
                "shape": ["batch", 1, size, size],
                "layout": "NCHW",
                "color": "gray",
                "mean": [0.5],
                "std": [0.5],
            }
        ],
        "outputs": [{"name": "points", "shape": ["batch", 10]}, {"name": "presence", "shape": ["batch", 1]}],
        "crop": {"scale": crops.SCALE, "follow": {"scale": crops.FOLLOW_SCALE, "up": crops.FOLLOW_UP}},
        "explanations": [],
        "variants": [],
        "metrics": [],
        "license": "MIT",
        "dataLicense": "FER2013: Kaggle challenge data, Goodfellow et al. 2013, no licence stated; wild: muxspace/facial_expressions, "
        "Apache-2.0; teacher: MediaPipe face mesh, Apache-2.0",
        "source": f"trained by models/training/train.py {config['network']}: {state['step']} steps of a schedule of "
        f"{config['epochs']} epochs, batch {config['batch']}, seed {config['seed']}"
        + (f", from the weights of run {Path(config['start']).parent.name}" if config["start"] else "")
        + "; labels by label_landmarks.py",
    }


def main(args):
    net = landmark_net.build()
    state = torch.load(args.runs / args.run / "state.pt", weights_only=True)
    net.load_state_dict(state["ema"])
    landmarks.MODEL.parent.mkdir(parents=True, exist_ok=True)
    model = export(net, landmarks.MODEL)
    differences = check(net, landmarks.MODEL)
    assert max(differences.values()) <= TOLERANCE, f"Exported graph differs: {differences}"
    item = entry(model, landmarks.MODEL, state)
    manifest.update(item)
    goldens.model(item)
    print(
        json.dumps({key: item[key] for key in ("file", "bytes", "parameters", "multiplyAdds")} | differences, indent=2)
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", default="landmark_net_2")
    parser.add_argument("--runs", type=Path, default=train.RUNS)
    main(parser.parse_args())
