"""A small graph with the outputs of DACL and SCN, to test how they are served: python make_cues_model.py

No weights are trained: evidence is fixed multiples of the brightness of 4x4 patches, so that tests can compute what
must come out.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).parent
MODELS = HERE.parents[1] / "models"
SLOPES = np.linspace(-1, 1, 15)[[3, 14, 2, 9, 5, 1, 0, 4, 6, 7, 8, 10, 11, 12, 13]]  # happiness first for a bright face


def main():
    constants = {
        "slopes": SLOPES.astype(np.float32).reshape(15, 1, 1, 1),
        "offset": np.float32(2),
        "zero": np.array([0]),
        "eight": np.array([8]),
        "end": np.array([15]),
        "axis": np.array([1]),
        "half": np.float32(0.5),
    }
    nodes = [
        helper.make_node("AveragePool", ["image"], ["patches"], kernel_shape=[16, 16], strides=[16, 16]),
        helper.make_node("Add", ["patches", "offset"], ["bright"]),
        helper.make_node("Conv", ["bright", "slopes"], ["maps"]),
        helper.make_node("ReduceMean", ["maps"], ["all"], axes=[2, 3], keepdims=0),
        helper.make_node("Slice", ["all", "zero", "eight", "axis"], ["logits"]),
        helper.make_node("Slice", ["all", "eight", "end", "axis"], ["logits_fer2013"]),
        helper.make_node("Slice", ["maps", "zero", "eight", "axis"], ["evidence"]),
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Sigmoid", ["mean"], ["alpha"]),
        helper.make_node("Abs", ["logits"], ["distances"]),
        helper.make_node("Mul", ["evidence", "half"], ["attentive_evidence"]),
    ]
    shapes = {
        "logits": [8],
        "logits_fer2013": [7],
        "evidence": [8, 4, 4],
        "alpha": [1],
        "distances": [8],
        "attentive_evidence": [8, 4, 4],
    }
    value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
    graph = helper.make_graph(
        nodes,
        "cues",
        [value("image", [1, 64, 64])],
        [value(name, shape) for name, shape in shapes.items()],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    data = model.SerializeToString()
    (HERE / "cues.onnx").write_bytes(data)
    like = next(
        e for e in json.loads((MODELS / "manifest.json").read_text()) if e["name"] == "expression_mini_xception"
    )
    labels = {o["name"]: o["labels"] for o in like["outputs"] if "labels" in o}
    outputs = [
        {"name": n, "shape": ["batch", *s]} | ({"labels": labels[n]} if n in labels else {}) for n, s in shapes.items()
    ]
    outputs[1]["role"] = "benchmark"
    outputs[-1]["explains"] = "attention"
    ramp = lambda low, high: [round(low + (high - low) * i / 100, 4) for i in range(101)]
    entry = {
        "name": "expression_cues",
        "version": "1.0.0",
        "task": "expression",
        "system": "test data",
        "file": "expression_cues/expression_cues.onnx",
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "opset": 17,
        "precision": "fp32",
        "parameters": 15,
        "inputs": like["inputs"],
        "outputs": outputs,
        "calibration": {
            "temperature": 1.0,
            "certainty": {"output": "alpha", "quantiles": ramp(0.2, 0.8)},
            "typicality": {"output": "distances", "quantiles": ramp(0, 4)},
        },
        "explanations": ["evidence", "attention"],
        "license": "MIT",
        "source": "tests/testdata/make_cues_model.py",
    }
    (HERE / "cues.json").write_text(json.dumps(entry, indent=2) + "\n")


if __name__ == "__main__":
    main()
