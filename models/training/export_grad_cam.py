"""Grad-CAM of an exported model: a second graph beside it, checked, in the manifest's `graphs`.

    python export_grad_cam.py expression_patt_lite

Made from the exported graph itself, so that the map always explains the weights that are served. It takes the model's own
output `features`, so that the trunk runs once. Run it after export.py, which writes the manifest entry anew;
check_heatmaps.py comes after.
"""

import argparse
import base64
import json

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F

import grad_cam
import half
import manifest

TOLERANCE = 1e-4
GOLDEN_CLASSES = [1, 4]


def reference(model, features, labels):
    """Grad-CAM by torch's own differentiation of the exported graph's head, in the precision of the features."""
    features = features.clone().requires_grad_()
    steps, _, constants, _ = grad_cam.forward(model)
    known = {name: torch.from_numpy(np.array(value)) for name, value in constants.items()}
    known = {name: v.to(features.dtype) if v.is_floating_point() else v for name, v in known.items()}
    known["features"] = features
    for node, _ in steps:
        get = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        known[node.output[0]] = forward(node.op_type, get, [known[name] for name in node.input])
    logits = known["evidence"].mean((2, 3))
    logits[torch.arange(len(labels)), labels].sum().backward()
    weights = features.grad.mean((2, 3), keepdim=True)
    return (features * weights).sum(1, keepdim=True).relu().detach()


def forward(kind, get, inputs):
    x, *rest = inputs
    if kind == "Conv":
        top, left, bottom, right = get["pads"]
        return F.conv2d(F.pad(x, (left, right, top, bottom)), *rest, stride=get["strides"], groups=get["group"])
    if kind == "Slice":
        (start,), (end,), (axis,) = (value.tolist() for value in rest[:3])
        return x.narrow(axis, start, min(end, x.shape[axis]) - start)
    return {
        "Relu": lambda: x.relu(),
        "Add": lambda: x + rest[0],
        "Mul": lambda: x * rest[0],
        "MatMul": lambda: x @ rest[0],
        "Softmax": lambda: x.softmax(get["axis"]),
        "ReduceMean": lambda: x.mean(get["axes"], keepdim=bool(get["keepdims"])),
        "Reshape": lambda: x.reshape(rest[0].tolist()),
        "Transpose": lambda: x.permute(get["perm"]),
    }[kind]()


def run(model, feeds, outputs):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(outputs, {name: value.numpy() for name, value in feeds.items()})


def features_of(model, count=32):
    """Features of smooth noise, and labels: each class in turn."""
    _, _, height, width = (d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim)
    gen = torch.Generator().manual_seed(1)
    images = F.interpolate(torch.rand(count, 1, 12, 12, generator=gen), (height, width), mode="bilinear") * 2 - 1
    (features,) = run(model, {"image": images}, ["features"])
    return torch.from_numpy(features), torch.arange(count) % classes(model)


def classes(model):
    evidence = next(o for o in model.graph.output if o.name == "evidence")
    return evidence.type.tensor_type.shape.dim[1].dim_value


def check(model, graph, features, labels):
    """Largest differences, as shares of the largest value: to torch in double precision, and alone to batch."""
    target = torch.eye(classes(model))[labels]
    (found,) = run(graph, {"features": features, "target": target}, ["map"])
    expected = reference(model, features.double(), labels).numpy()
    alone = [
        run(graph, {"features": features[i : i + 1], "target": target[i : i + 1]}, ["map"])[0]
        for i in range(0, len(labels), 4)
    ]
    scale = float(np.abs(expected).max())
    return {
        "parity": float(np.abs(found - expected).max()) / scale,
        "batch": float(np.abs(found[::4] - np.concatenate(alone)).max()) / scale,
    }


def golden(model, graph):
    """Two pictures by formula, their features by the model itself, and their maps."""
    _, *shape = (d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim)
    shape = [len(GOLDEN_CLASSES), *shape]
    image = torch.from_numpy((np.sin(np.arange(np.prod(shape)) * 0.05) * 0.5).astype(np.float32)).view(shape)
    target = torch.eye(classes(model))[GOLDEN_CLASSES]
    (features,) = run(model, {"image": image}, ["features"])
    (found,) = run(graph, {"features": torch.from_numpy(features), "target": target}, ["map"])
    return {
        "input": {
            "name": "image",
            "shape": shape,
            "amplitude": 0.5,
            "formula": "sin(i * 0.05) * amplitude as float32, i the flat index",
        },
        "target": {"shape": list(target.shape), "values": target.ravel().tolist()},
        "tolerance": TOLERANCE * max(1.0, float(np.abs(found).max())),
        "outputs": {
            "map": {
                "shape": list(found.shape),
                "encoding": "base64 of little-endian float32",
                "values": base64.b64encode(found.astype("<f4").tobytes()).decode(),
            }
        },
    }


def main(name):
    entry = manifest.entry(name)
    model = half.whole(onnx.load(manifest.MODELS / entry["file"]))
    graph = grad_cam.build(model)
    differences = check(model, graph, *features_of(model))
    assert max(differences.values()) <= TOLERANCE, f"The backward pass differs: {differences}"
    file = manifest.MODELS / name / f"{name}_grad_cam.onnx"
    onnx.save(half.halve(graph) if entry["precision"] == "fp16" else graph, file)
    text = json.dumps(golden(model, onnx.load(file)), indent=2)
    file.with_name("golden_grad_cam.json").write_text(text + "\n")
    inputs, outputs = ([value.name for value in values] for values in (graph.graph.input, graph.graph.output))
    facts = manifest.file_facts(file) | {"inputs": inputs, "outputs": outputs}
    manifest.update(
        manifest.entry(name)
        | {
            "graphs": entry.get("graphs", {}) | {"gradCam": facts},
            "explanations": list(dict.fromkeys([*entry["explanations"], "gradCam"])),
        }
    )
    print(json.dumps({"bytes": facts["bytes"], "differences": differences}, indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="the model's name in the manifest")
    main(parser.parse_args().name)
