"""Guided backpropagation of an exported model: a second graph beside it, checked, in the manifest's `graphs`.

    python export_guided_backprop.py expression_mini_xception

Made from the exported graph itself, so that the map always explains the weights that are served. Run it after export.py,
which writes the manifest entry anew; then check_heatmaps.py.
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


class GuidedRelu(torch.autograd.Function):
    """A ReLU that hands back only what is positive, and only where its input was."""

    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(context, gradient):
        (x,) = context.saved_tensors
        return gradient.clamp(min=0) * (x > 0)


RELUS = {"guided": GuidedRelu.apply, "gradient": F.relu}


def replay(model, image, relu=F.relu):
    """The evidence of an exported graph for a torch image, computed by torch in the image's precision."""
    stored = {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}
    known = {model.graph.input[0].name: image}
    for node in model.graph.node:
        get = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Constant":
            stored[node.output[0]] = numpy_helper.to_array(get["value"])
            continue
        x, rest = known[node.input[0]], node.input[1:]
        if node.op_type == "Conv":
            weights = [torch.from_numpy(stored[name].copy()).to(x.dtype) for name in rest]
            y = F.conv2d(x, *weights, stride=get["strides"], padding=get["pads"][:2], groups=get["group"])
        elif node.op_type == "MaxPool":
            y = F.max_pool2d(x, get["kernel_shape"], get["strides"], get["pads"][:2], ceil_mode=bool(get["ceil_mode"]))
        elif node.op_type == "Slice":
            (start,), (end,), (axis,), (step,) = (stored[name].tolist() for name in rest)
            y = x[(slice(None),) * axis + (slice(start, min(end, x.shape[axis]), step),)]
        else:
            y = {"Relu": lambda: relu(x), "Add": lambda: x + known[rest[0]], "ReduceMean": lambda: x.mean((2, 3))}[
                node.op_type
            ]()
        known[node.output[0]] = y
    return known["evidence"]


def reference(model, image, target, rule):
    """What the graph of `rule` must give, by torch's own differentiation."""
    image = image.clone().requires_grad_()
    evidence = replay(model, image, RELUS[rule])
    chosen = (target * evidence.mean((2, 3))).sum(1)
    largest = evidence.amax(1).sum((1, 2))
    torch.where(target.any(1), chosen, largest).sum().backward()
    return image.grad


def run(graph, image, target):
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(["saliency"], {"image": image.numpy(), "target": target.numpy()})[0])


