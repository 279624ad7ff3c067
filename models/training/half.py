"""A graph's kernels in half precision on disk: half the bytes; the runtime widens them once, when it loads the graph.

The arithmetic stays fp32, so nothing but the rounding of the kernels differs. Biases and scalars are left alone.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MARK = "_half"


def halve(model):
    """The same graph with its kernels as fp16, each widened by a Cast of the kernel's own name."""
    out = onnx.ModelProto()
    out.CopyFrom(model)
    casts, kept = [], []
    for weight in out.graph.initializer:
        if weight.data_type != TensorProto.FLOAT or len(weight.dims) < 2:
            kept.append(weight)
            continue
        narrow = numpy_helper.to_array(weight).astype(np.float16)
        assert np.isfinite(narrow).all(), f"Cannot keep {weight.name} in half precision: value out of range"
        kept.append(numpy_helper.from_array(narrow, weight.name + MARK))
        casts.append(helper.make_node("Cast", [weight.name + MARK], [weight.name], to=TensorProto.FLOAT))
    return _with(out, casts + list(out.graph.node), kept)


def whole(model):
    """A graph from `halve` with its kernels as fp32 initialisers again; any other graph as it is."""
    out = onnx.ModelProto()
    out.CopyFrom(model)
    stored = {w.name: w for w in out.graph.initializer}
    nodes, kept = [], dict(stored)
    for node in out.graph.node:
        if node.op_type == "Cast" and node.input[0] in stored and node.input[0].endswith(MARK):
            wide = numpy_helper.to_array(stored[node.input[0]]).astype(np.float32)
            kept.pop(node.input[0], None)
            kept[node.output[0]] = numpy_helper.from_array(wide, node.output[0])
        else:
            nodes.append(node)
    return _with(out, nodes, kept.values())


def _with(model, nodes, weights):
    nodes, weights = list(nodes), list(weights)
    graph = helper.make_graph(nodes, model.graph.name, model.graph.input, model.graph.output, weights)
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
