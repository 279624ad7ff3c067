"""Guided backpropagation of an exported model: a second graph beside it, checked, in the manifest's `graphs`.

    python export_guided_backprop.py expression_mini_xception

Made from the exported graph itself, so that the map always explains the weights that are served. Run it after export.py,
which writes the manifest entry anew; check_heatmaps.py comes after.
"""

import argparse
import base64
import json

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from onnx import numpy_helper

import backward
import manifest

TOLERANCE = 1e-4
GOLDEN_CLASSES = [1, 4]


class Gate(torch.autograd.Function):
    """A ReLU by a given mask; guided, it hands back only what is positive."""

    @staticmethod
    def forward(context, x, mask, guided):
        context.save_for_backward(mask)
        context.guided = guided
        return x * mask

    @staticmethod
    def backward(context, gradient):
        (mask,) = context.saved_tensors
        return (gradient.clamp(min=0) if context.guided else gradient) * mask, None, None


def reference(model, image, target, rule, decisions=None):
    """Saliency by torch's own differentiation of the exported graph, in the image's precision.

    `decisions` tells which ReLUs are open and which pixel each pool takes, by the names of the graph's tensors; without
    it torch decides.
    """
    stored = {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}
    image = image.clone().requires_grad_()
    known = {model.graph.input[0].name: image}
    for node in model.graph.node:
        get = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Constant":
            stored[node.output[0]] = numpy_helper.to_array(get["value"])
            continue
        if node.op_type == "Identity":
            stored[node.output[0]] = stored[node.input[0]]
            continue
        x, rest, name = known[node.input[0]], node.input[1:], node.output[0]
        if node.op_type == "Conv":
            weights = [torch.tensor(stored[name], dtype=x.dtype) for name in rest]
            y = F.conv2d(x, *weights, stride=get["strides"], padding=get["pads"][:2], groups=get["group"])
        elif node.op_type == "Relu":
            mask = decisions[name] > 0 if decisions else x > 0
            y = Gate.apply(x, mask.to(x.dtype), rule == "guided")
        elif node.op_type == "MaxPool" and decisions:
            y = x.reshape(-1)[decisions[f"{name}_index"]]
        elif node.op_type == "MaxPool":
            y = F.max_pool2d(x, get["kernel_shape"], get["strides"], get["pads"][:2], ceil_mode=bool(get["ceil_mode"]))
        elif node.op_type == "Slice":
            (start,), (end,), (axis,), (step,) = (stored[name].tolist() for name in rest)
            y = x[(slice(None),) * axis + (slice(start, min(end, x.shape[axis]), step),)]
        else:
            y = x + known[rest[0]] if node.op_type == "Add" else x.mean((2, 3))
        known[name] = y
    evidence = known["evidence"]
    chosen, largest = (target * evidence.mean((2, 3))).sum(1), evidence.amax(1).sum((1, 2))
    torch.where(target.any(1), chosen, largest).sum().backward()
    return image.grad


def run(graph, image, target, outputs=("saliency",)):
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    values = session.run(list(outputs), {"image": image.numpy(), "target": target.numpy()})
    return dict(zip(outputs, map(torch.from_numpy, values)))


def run_with_decisions(graph, image, target):
    """Saliency, and what the graph decided on the way."""
    watched = onnx.ModelProto()
    watched.CopyFrom(graph)
    for node in graph.graph.node:
        if node.op_type == "Relu" and not node.output[0].startswith("back_"):
            watched.graph.output.append(
                onnx.helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, None)
            )
        elif node.op_type == "MaxPool":
            watched.graph.output.append(
                onnx.helper.make_tensor_value_info(node.output[1], onnx.TensorProto.INT64, None)
            )
    decisions = run(watched, image, target, [o.name for o in watched.graph.output])
    return decisions.pop("saliency"), decisions


def example(shape, classes, count=32):
    """Images of noise, half of them smooth, and targets: each class in turn, every ninth of no class."""
    gen = torch.Generator().manual_seed(1)
    noise = torch.rand(count // 2, *shape, generator=gen)
    smooth = F.interpolate(torch.rand(count // 2, 1, 8, 8, generator=gen), shape[1:], mode="bilinear")
    target = torch.eye(classes + 1, classes)[torch.arange(count) % (classes + 1)]
    return torch.cat([noise, smooth]) * 2 - 1, target


def check(model, graph, image, target, rule="guided"):
    """Largest differences: to torch where it decides alike, alone to batch; and the share of images that torch, left to
    itself, decides alike. At a kink (a ReLU at zero, two equal pixels in a pool) rounding decides, and the derivative jumps.
    """
    saliency, decisions = run_with_decisions(graph, image, target)
    alike = reference(model, image, target, rule, decisions)
    alone = torch.cat([run(graph, image[i : i + 1], target[i : i + 1])["saliency"] for i in range(0, len(image), 4)])
    own = (saliency - reference(model, image, target, rule)).abs().amax((1, 2, 3))
    return {
        "parity": (saliency - alike).abs().max().item(),
        "batch": (saliency[::4] - alone).abs().max().item(),
        "kinked": (own > TOLERANCE).double().mean().item(),
    }


def golden(model, graph, shape, classes):
    """Two images by formula and their saliency; of an amplitude at which no rounding decides."""
    shape = [len(GOLDEN_CLASSES), *shape]
    target = torch.eye(classes)[[k % classes for k in GOLDEN_CLASSES]]
    for amplitude in (0.5, 0.45, 0.4, 0.35, 0.3):
        image = torch.from_numpy((np.sin(np.arange(np.prod(shape)) * 0.05) * amplitude).astype(np.float32)).view(shape)
        saliency = run(graph, image, target)["saliency"]
        truths = [reference(model, image.to(t), target.to(t), "guided") for t in (torch.float32, torch.float64)]
        if max((saliency - truth).abs().max().item() for truth in truths) < TOLERANCE / 10:
            break
    else:
        raise ValueError("Cannot find golden images away from every kink")
    return {
        "input": {
            "name": "image",
            "shape": shape,
            "amplitude": amplitude,
            "formula": "sin(i * 0.05) * amplitude as float32, i the flat index",
        },
        "target": {"shape": list(target.shape), "values": target.ravel().tolist()},
        "tolerance": TOLERANCE,
        "outputs": {
            "saliency": {
                "shape": shape,
                "encoding": "base64 of little-endian float32",
                "values": base64.b64encode(saliency.numpy().astype("<f4").tobytes()).decode(),
            }
        },
    }


def main(name):
    entry = manifest.entry(name)
    model = onnx.load(manifest.MODELS / entry["file"])
    graph = backward.differentiate(model)
    shape = entry["inputs"][0]["shape"][1:]
    classes = graph.graph.input[1].type.tensor_type.shape.dim[1].dim_value
    differences = check(model, graph, *example(shape, classes))
    assert max(differences["parity"], differences["batch"]) <= TOLERANCE, f"The backward pass differs: {differences}"
    file = manifest.MODELS / name / f"{name}_guided_backprop.onnx"
    onnx.save(graph, file)
    text = json.dumps(golden(model, graph, shape, classes), indent=2)
    file.with_name("golden_guided_backprop.json").write_text(text + "\n")
    facts = manifest.file_facts(file)
    manifest.update(
        manifest.entry(name)
        | {
            "graphs": entry.get("graphs", {}) | {"guidedBackprop": facts},
            "explanations": list(dict.fromkeys([*entry["explanations"], "guidedBackprop"])),
        }
    )
    print(json.dumps({"bytes": facts["bytes"], "differences": differences}, indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="the model's name in the manifest")
    main(parser.parse_args().name)
