"""Small facts and repairs of ONNX graphs, shared by the scripts that write them."""

import math

import onnx
from onnx import shape_inference


def multiply_adds(model, shape):
    """Multiply-adds of all Conv and Gemm nodes for one input of the given fixed `shape`."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for dim, size in zip(fixed.graph.input[0].type.tensor_type.shape.dim, shape):
        dim.dim_value = size
    del fixed.graph.value_info[:]
    for output in fixed.graph.output:
        output.type.tensor_type.ClearField("shape")
    fixed = shape_inference.infer_shapes(fixed, strict_mode=True, data_prop=True)
    weights = {w.name: w.dims for w in fixed.graph.initializer}
    known = [*fixed.graph.value_info, *fixed.graph.output]
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in known}
    total = 0
    for node in fixed.graph.node:
        if node.op_type in ("Conv", "Gemm"):
            weight = weights[node.input[1]]
            each = math.prod(weight[1:]) if node.op_type == "Conv" else max(weight)
            total += math.prod(shapes[node.output[0]]) * each
    return total


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
