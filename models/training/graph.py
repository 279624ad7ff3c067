"""Small facts and repairs of ONNX graphs, shared by the scripts that write them."""

import math

import onnx
from onnx import helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator


def multiply_adds(model, shape):
    """Multiply-adds of all Conv and Gemm nodes for inputs of the given fixed `shape`."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for value in fixed.graph.input:
        for dim, size in zip(value.type.tensor_type.shape.dim, shape):
            dim.dim_value = size
    del fixed.graph.value_info[:]
    for output in fixed.graph.output:
        output.type.tensor_type.ClearField("shape")
    fixed = shape_inference.infer_shapes(fixed, strict_mode=True, data_prop=True)
    weights = {w.name: w.dims for w in fixed.graph.initializer}
    weights |= {n.output[0]: n.attribute[0].t.dims for n in fixed.graph.node if n.op_type == "Constant"}
    known = [*fixed.graph.value_info, *fixed.graph.output]
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in known}
    total = 0
    for node in fixed.graph.node:
        if node.op_type in ("Conv", "Gemm"):
            weight = weights[node.input[1]]
            each = math.prod(weight[1:]) if node.op_type == "Conv" else max(weight)
            total += math.prod(shapes[node.output[0]]) * each
    return total


def merge_pads(model):
    """Pads with zeros into the convolutions that follow them; how wide they are may be computed from constants."""
    makers = {node.output[0]: node for node in model.graph.node}
    for node in model.graph.node:
        pad = makers.get(node.input[0]) if node.op_type == "Conv" else None
        if pad is None or pad.op_type != "Pad":
            continue
        sides = constant(model, pad.input[1])
        assert not any(sides[[0, 1, 4, 5]]), f"Cannot merge a pad of batch or channels: {pad.name}"
        pads = next(a for a in node.attribute if a.name == "pads").ints
        pads[:] = [a + int(b) for a, b in zip(pads, sides[[2, 3, 6, 7]])]
        node.input[0] = pad.input[0]
    drop_unused(model)


def output_step(model):
    """The largest step by which an output of a quantised graph can change: the scales of what outputs are made of.

    From each output back, through whatever lies between, to the first dequantised tensors; 0 where there is none.
    """
    makers = {name: node for node in model.graph.node for name in node.output}
    scales = {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}
    steps, waiting = [0.0], [output.name for output in model.graph.output]
    while waiting:
        node = makers.get(waiting.pop())
        if node is None:
            continue
        if node.op_type == "DequantizeLinear":
            steps.append(float(scales[node.input[1]].max()))
        else:
            waiting += node.input
    return max(steps)


def constant(model, name):
    """The value of a tensor that depends on no input."""
    part = onnx.ModelProto()
    part.CopyFrom(model)
    del part.graph.input[:], part.graph.output[:], part.graph.value_info[:]
    part.graph.output.append(helper.make_empty_tensor_value_info(name))
    drop_unused(part)
    return ReferenceEvaluator(part).run(None, {})[0]


def drop_unused(model):
    """Nodes and weights that no output needs."""
    needed, kept = {o.name for o in model.graph.output}, []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            kept.append(node)
    weights = [w for w in model.graph.initializer if w.name in needed]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(reversed(kept))
    model.graph.initializer.extend(weights)


def parameters(model):
    """Floating-point numbers stored in the graph's initializers."""
    return sum(math.prod(w.dims) for w in model.graph.initializer if w.data_type == onnx.TensorProto.FLOAT)


def describe(model):
    """`opset` and the `outputs` with name and shape, as a manifest entry wants them."""
    outputs = []
    for value in model.graph.output:
        dims = value.type.tensor_type.shape.dim
        outputs.append({"name": value.name, "shape": [d.dim_value or d.dim_param for d in dims]})
    return {"opset": model.opset_import[0].version, "outputs": outputs}
