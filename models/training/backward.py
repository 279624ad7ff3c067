"""The backward pass of an exported network, written out as a second ONNX graph.

Follows a graph that export.py made from its evidence back to its input, node by node, in ordinary operators: no branches,
no training operators. The weights are the forward pass's own tensors. Two rules: "gradient" is the derivative itself,
"guided" is guided backpropagation (Springenberg et al. 2015, arXiv 1412.6806), where a ReLU hands back only what is
positive, and only where its input was.

The graph takes `image` `[batch, 1, size, size]` and `target` `[batch, classes]`, and gives `saliency`, as large as the
image: the derivative of the logits weighted by `target`, a one-hot row for one class. A row of zeros asks for what the
paper of mini-Xception's code shows instead, of no class: the sum over the cells of the largest evidence in each.
"""

import math

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

RULES = ("guided", "gradient")


class Writer:
    """Nodes and weights of a graph in the making."""

    def __init__(self):
        self.nodes, self.weights = [], {}

    def add(self, op, *inputs, named=None, **attributes):
        name = named or f"back_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def constant(self, value):
        value = np.asarray(value)
        name = f"{value.dtype}_{'_'.join(map(str, value.ravel()))}"
        self.weights[name] = value
        return name


def differentiate(model, rule="guided"):
    """The graph of `saliency` for a model whose `evidence` comes from Conv, Relu, MaxPool, Add and strided Slice."""
    assert rule in RULES, rule
    steps, shapes, weights, classes = forward(model)
    out = Writer()
    out.nodes += steps
    out.weights |= weights
    evidence = steps[-1].output[0]
    gradients = {evidence: seed(out, evidence, math.prod(shapes[evidence]))}
    for step in reversed(steps):
        gradient, source = gradients.pop(step.output[0]), step.input[0]
        passed = {source: BACKWARD[step.op_type](out, step, gradient, shapes, rule)}
        if step.op_type == "Add":
            passed[step.input[1]] = gradient
        for name, part in passed.items():
            gradients[name] = out.add("Add", gradients[name], part) if name in gradients else part
    image = model.graph.input[0]
    out.add("Identity", gradients[image.name], named="saliency")
    size = [d.dim_value for d in image.type.tensor_type.shape.dim][1:]
    shaped = {"image": ["batch", *size], "target": ["batch", classes], "saliency": ["batch", *size]}
    values = {n: helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shaped.items()}
    graph = helper.make_graph(
        out.nodes,
        f"{rule} backward",
        [values["image"], values["target"]],
        [values["saliency"]],
        [numpy_helper.from_array(value, name) for name, value in out.weights.items()],
    )
    written = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(written, full_check=True)
    return written


def forward(model):
    """The nodes from image to evidence, heights and widths of what they give, their weights, and the classes served.

    A Slice that takes every so many pixels becomes the stride of the 1x1 convolution after it.
    """
    shaped = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    shapes = {
        v.name: [d.dim_value for d in v.type.tensor_type.shape.dim][2:]
        for v in [*shaped.input, *shaped.value_info, *shaped.output]
    }
    makers = {name: node for node in model.graph.node for name in node.output}
    stored = {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            stored[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        elif node.op_type == "Identity" and node.input[0] in stored:  # the exporter's, of equal weights
            stored[node.output[0]] = stored[node.input[0]]
    output = next(o for o in model.graph.output if o.name == "evidence")
    classes = output.type.tensor_type.shape.dim[1].dim_value
    head = makers["evidence"]
    head = makers[head.input[0]] if head.op_type == "Slice" else head
    steps, weights, seen = [], {}, {model.graph.input[0].name}

    def visit(node):
        if node.output[0] in seen:
            return
        seen.add(node.output[0])
        if node.op_type not in BACKWARD:
            raise ValueError(f"Cannot differentiate {node.op_type} ({node.output[0]})")
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.ClearField("name")
        if node.op_type == "Conv":
            stride = attribute(node, "strides")
            while (maker := makers.get(copy.input[0])) and maker.op_type == "Slice":
                start, _, axes, step = (stored[name].tolist() for name in maker.input[1:])
                assert start == [0] and axes[0] > 1 and attribute(node, "kernel_shape") == [1, 1], maker.name
                stride[axes[0] - 2] *= step[0]
                copy.input[0] = maker.input[0]
            next(a for a in copy.attribute if a.name == "strides").ints[:] = stride
            for name in node.input[1:]:
                weights[name] = stored[name][:classes] if node is head else stored[name]
        if node.op_type == "MaxPool":
            copy.output.append(f"{node.output[0]}_index")
        for name in copy.input if node.op_type == "Add" else copy.input[:1]:
            if name in makers:
                visit(makers[name])
        steps.append(copy)

    visit(head)
    return steps, shapes, weights, classes


def attribute(node, name, default=None):
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def seed(out, evidence, cells):
    """What the backward pass starts from: `target` as the mean over the cells spreads it, or the largest evidence."""
    target = out.add("Reshape", "target", out.constant([0, -1, 1, 1]))
    asked = out.add("ReduceMax", out.add("Abs", target), axes=[1], keepdims=1)
    asked = out.add("Greater", asked, out.constant(np.float32(0)))
    chosen = out.add("Div", target, out.constant(np.float32(cells)))
    largest = out.add("Equal", evidence, out.add("ReduceMax", evidence, axes=[1], keepdims=1))
    return out.add("Where", asked, chosen, out.add("Cast", largest, to=TensorProto.FLOAT))


def through_conv(out, node, gradient, shapes, rule):
    """A convolution by the same weights the other way round; the runtime turns them once, when it loads the graph."""
    weight, group = node.input[1], attribute(node, "group", 1)
    kernel, strides, pads = (attribute(node, name) for name in ("kernel_shape", "strides", "pads"))
    if strides != [1, 1]:
        sizes = zip(shapes[node.input[0]], shapes[node.output[0]], strides, kernel, pads[:2], pads[2:])
        missing = [size - ((made - 1) * stride + k - a - b) for size, made, stride, k, a, b in sizes]
        return out.add(
            "ConvTranspose",
            gradient,
            weight,
            group=group,
            kernel_shape=kernel,
            pads=pads,
            strides=strides,
            output_padding=missing,
        )
    if group == 1:
        weight = out.add("Transpose", weight, perm=[1, 0, 2, 3])
    else:
        assert out.weights[weight].shape[:2] == (group, 1), f"Only depthwise groups can be turned: {node.output[0]}"
    if kernel != [1, 1]:
        ends = [out.constant(v) for v in ([-1, -1], [-(2**31), -(2**31)], [2, 3], [-1, -1])]
        weight = out.add("Slice", weight, *ends)
    pads = [k - 1 - p for k, p in zip(kernel * 2, pads)]
    return out.add("Conv", gradient, weight, group=group, kernel_shape=kernel, pads=pads, strides=strides)


def through_relu(out, node, gradient, shapes, rule):
    zero = out.constant(np.float32(0))
    passed = out.add("Where", out.add("Greater", node.output[0], zero), gradient, zero)
    return out.add("Relu", passed) if rule == "guided" else passed


def through_pool(out, node, gradient, shapes, rule):
    """Each window's gradient to its largest pixel, of equal ones the first, as torch does; windows overlap, so they add."""
    flat = out.constant([-1])
    shape = out.add("Shape", node.input[0])
    empty = out.add("ConstantOfShape", out.add("ReduceProd", shape, axes=[0], keepdims=1))
    index = out.add("Reshape", node.output[1], flat)
    spread = out.add("ScatterElements", empty, index, out.add("Reshape", gradient, flat), axis=0, reduction="add")
    return out.add("Reshape", spread, shape)


def through_add(out, node, gradient, shapes, rule):
    return gradient


BACKWARD = {"Conv": through_conv, "Relu": through_relu, "MaxPool": through_pool, "Add": through_add}
