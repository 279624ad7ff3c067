"""Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391) of an exported network, its backward pass written out as an ONNX graph.

Takes what the forward pass has already given: `features` `[batch, channels, h, w]`, the trunk's last map, an output of the
exported graph, and `target` `[batch, classes]`, a one-hot row for one class. Runs the head forward, then back from the
target's logit to the features, and gives `map` `[batch, 1, h, w]`: the features weighted by the spatial means of their
gradients, what speaks against the class cut off. The kernels are the head's own.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

import backward
import graph as graphs


def build(model):
    """The graph of `map` for a model with the outputs `features` and `evidence`; kernels in fp32."""
    steps, shapes, weights, served = forward(model)
    out = backward.Writer()
    out.nodes += [step for step, _ in steps]
    out.weights |= weights
    cells = float(np.prod(shapes["evidence"][2:]))
    target = out.add("Reshape", "target", out.constant([0, -1, 1, 1]))
    ones = out.add("Expand", out.constant(np.float32(1 / cells)), out.constant([1, 1, *shapes["evidence"][2:]]))
    gradients = {"evidence": out.add("Mul", target, ones)}
    for step, active in reversed(steps):
        gradient = gradients.pop(step.output[0], None)
        if gradient is None:
            continue
        for name, part in RULES[step.op_type](out, step, gradient, shapes):
            if name not in active:
                continue
            gradients[name] = out.add("Add", gradients[name], part) if name in gradients else part
    weight = out.add("ReduceMean", gradients["features"], axes=[2, 3], keepdims=1)
    weighted = out.add("Mul", "features", weight)
    axes = out.constant([1])
    out.add("Relu", out.add("ReduceSum", weighted, axes, keepdims=1), named="map")
    shaped = {"features": shapes["features"], "target": [0, served], "map": [0, 1, *shapes["features"][2:]]}
    values = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape[1:]])
        for name, shape in shaped.items()
    }
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in out.weights.items()]
    graph = helper.make_graph(out.nodes, "Grad-CAM", [values["features"], values["target"]], [values["map"]], stored)
    written = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    graphs.drop_unused(written)
    onnx.checker.check_model(written, full_check=True)
    return written


def forward(model):
    """The nodes from `features` to `evidence`, each with its inputs that depend on the features; the shapes of what they
    take and give (the batch as 0), the constants they use, and how many classes the evidence has.
    """
    part = onnx.ModelProto()
    part.CopyFrom(model)
    outputs = {o.name: o for o in part.graph.output}
    shape = [d.dim_value for d in outputs["features"].type.tensor_type.shape.dim]
    head = helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, *shape[1:]])
    kept = [node for node in part.graph.node if "features" not in node.output]
    del part.graph.node[:], part.graph.input[:], part.graph.output[:], part.graph.value_info[:]
    part.graph.node.extend(kept)
    part.graph.input.append(head)
    part.graph.output.append(helper.make_tensor_value_info("evidence", TensorProto.FLOAT, None))
    graphs.drop_unused(part)
    inferred = shape_inference.infer_shapes(part, strict_mode=True, data_prop=True).graph
    shapes = {
        v.name: [0, *(d.dim_value for d in v.type.tensor_type.shape.dim[1:])]
        for v in [*inferred.input, *inferred.value_info, *inferred.output]
    }
    constants = {w.name: numpy_helper.to_array(w) for w in part.graph.initializer}
    active, steps = {"features"}, []
    for node in part.graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        elif node.op_type == "Identity" and node.input[0] in constants:
            constants[node.output[0]] = constants[node.input[0]]
        elif node.op_type not in RULES:
            raise ValueError(f"Cannot differentiate {node.op_type} ({node.output[0]})")
        else:
            steps.append((node, [name for name in node.input if name in active]))
            active.add(node.output[0])
    for node, _ in steps:
        shapes |= {name: list(constants[name].shape) for name in node.input if name in constants}
    return steps, shapes, constants, shapes["evidence"][1]


def shrunk(out, gradient, made, wanted):
    """A gradient of the shape `made`, summed over what an operand of the shape `wanted` was repeated along."""
    assert len(made) == len(wanted), f"Cannot sum {made} to {wanted}"
    axes = [axis for axis, (a, b) in enumerate(zip(made, wanted)) if a != b]
    return out.add("ReduceSum", gradient, out.constant(axes), keepdims=1) if axes else gradient


def through_conv(out, step, gradient, shapes):
    sides = {name: shape[2:] for name, shape in shapes.items()}
    return [(step.input[0], backward.through_conv(out, step, gradient, sides, "gradient"))]


def through_relu(out, step, gradient, shapes):
    return [(step.input[0], backward.through_relu(out, step, gradient, shapes, "gradient"))]


def through_add(out, step, gradient, shapes):
    made = shapes[step.output[0]]
    return [(name, shrunk(out, gradient, made, padded(shapes[name], made))) for name in step.input]


def through_mul(out, step, gradient, shapes):
    made, parts = shapes[step.output[0]], []
    for name, other in zip(step.input, reversed(step.input)):
        product = out.add("Mul", gradient, other)
        parts.append((name, shrunk(out, product, made, padded(shapes[name], made))))
    return parts


def padded(shape, like):
    return [1] * (len(like) - len(shape)) + list(shape)


def through_matmul(out, step, gradient, shapes):
    """Of A B by both: G transposed B, transposed A G."""
    left, right = step.input
    turned = [out.add("Transpose", name, perm=[0, 2, 1]) for name in (left, right)]
    return [(left, out.add("MatMul", gradient, turned[1])), (right, out.add("MatMul", turned[0], gradient))]


def through_softmax(out, step, gradient, shapes):
    """y (g - sum of g y), along the axis that sums to one."""
    made, axis = step.output[0], backward.attribute(step, "axis", -1)
    total = out.add("ReduceSum", out.add("Mul", gradient, made), out.constant([axis]), keepdims=1)
    return [(step.input[0], out.add("Mul", made, out.add("Sub", gradient, total)))]


def through_mean(out, step, gradient, shapes):
    shape, axes = shapes[step.input[0]], backward.attribute(step, "axes")
    count = float(np.prod([shape[axis] for axis in axes]))
    single = [1 if axis in axes else side for axis, side in enumerate(shape)]
    spread = out.add("Reshape", gradient, out.constant([-1, *single[1:]]))
    share = out.add("Expand", out.constant(np.float32(1 / count)), out.constant([1, *shape[1:]]))
    return [(step.input[0], out.add("Mul", spread, share))]


def through_reshape(out, step, gradient, shapes):
    return [(step.input[0], out.add("Reshape", gradient, out.constant([-1, *shapes[step.input[0]][1:]])))]


def through_transpose(out, step, gradient, shapes):
    return [(step.input[0], out.add("Transpose", gradient, perm=np.argsort(backward.attribute(step, "perm")).tolist()))]


def through_slice(out, step, gradient, shapes):
    """Zeros for what the slice left away."""
    (start,), (end,), (axis,) = (out.weights[name].tolist() for name in step.input[1:4])
    shape = shapes[step.input[0]]
    pads = [0] * 2 * len(shape)
    pads[axis], pads[len(shape) + axis] = start, shape[axis] - min(end, shape[axis])
    return [(step.input[0], out.add("Pad", gradient, out.constant(pads)))]


RULES = {
    "Conv": through_conv,
    "Relu": through_relu,
    "Add": through_add,
    "Mul": through_mul,
    "MatMul": through_matmul,
    "Softmax": through_softmax,
    "ReduceMean": through_mean,
    "Reshape": through_reshape,
    "Transpose": through_transpose,
    "Slice": through_slice,
}
