"""int8: which layers are cut, what is compared, and when it is not kept."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

import export
import graph
import mien_net
import precision
import quantize
import task_expression

HEADS = task_expression.Expression.HEADS


class Images:
    """Calibration feeds of random images, as onnxruntime's quantizer reads them."""

    def __init__(self):
        gen = torch.Generator().manual_seed(1)
        self.feeds = iter([{"image": (torch.rand(8, 1, 48, 48, generator=gen) * 2 - 1).numpy()} for _ in range(4)])

    def get_next(self):
        return next(self.feeds, None)


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("int8")
    export.export(mien_net.build(15).eval(), HEADS, 48, folder / "float.onnx")
    quantize.to_int8(folder / "float.onnx", folder / "int8.onnx", Images())
    return folder / "float.onnx", folder / "int8.onnx"


def test_all_convolutions_but_the_first_become_int8(graphs):
    model = onnx.load(graphs[1])
    convs = [node for node in model.graph.node if node.op_type == "Conv"]
    made = {output: node.op_type for node in model.graph.node for output in node.output}
    weights = [made.get(node.input[1]) for node in convs]
    assert len(convs) == 12 and weights == [None] + ["DequantizeLinear"] * 11
    int8 = [w for w in model.graph.initializer if w.data_type == onnx.TensorProto.UINT8 and len(w.dims) == 4]
    assert len(int8) == 11
    assert graphs[1].stat().st_size < 0.35 * graphs[0].stat().st_size


def test_int8_answers_are_near_float_ones(graphs):
    image = (np.random.default_rng(2).random((4, 1, 48, 48), dtype=np.float32) * 2 - 1).astype(np.float32)
    one, other = (onnxruntime.InferenceSession(file).run(["logits"], {"image": image})[0] for file in graphs)
    assert 0 < np.abs(one - other).max() < 0.2 * np.abs(one).max()


def test_compare_counts_labels_and_accuracy():
    class Task:
        HEADS = {"logits": ("served", ["a", "b"], "truth"), "second": ("other", ["a", "b"], "truth")}
        truth = torch.tensor([0, 1, -1, 0])

    before = torch.tensor([[2.0, 0, 2, 0], [0, 2, 0, 2], [2, 0, 2, 0], [2, 0, 2, 0]])
    after = before.clone()
    after[3, :2] = torch.tensor([0.0, 2.0])
    report = precision.compare(before, after, Task, 1.0, "int8")
    assert report["n"] == 4 and report["sameLabel"] == 0.75
    assert report["accuracy"] == [
        {"head": "logits", "fp32": 1.0, "int8": 0.6667},
        {"head": "second", "fp32": 1.0, "int8": 1.0},
    ]
    assert report["scoresApart"]["median"] == 0


def test_reasons_name_what_is_wrong():
    good = {"sameLabel": 0.992, "accuracy": [{"head": "logits", "fp32": 0.87, "int8": 0.868}], "timeRatio": 0.8}
    assert quantize.against(good) == []
    bad = {"sameLabel": 0.9, "accuracy": [{"head": "logits", "fp32": 0.87, "int8": 0.8}], "timeRatio": 1.2}
    reasons = quantize.against(bad)
    assert len(reasons) == 3 and "87.00% to 80.00%" in reasons[1] and "1.2 times" in reasons[2]


def test_the_step_of_an_output_is_that_of_what_it_is_made_of():
    scale = lambda name, value: helper.make_tensor(name, TensorProto.FLOAT, [], [value])
    through = lambda of, name, to: [
        helper.make_node("QuantizeLinear", [of, name, "zero"], [f"{to}_q"]),
        helper.make_node("DequantizeLinear", [f"{to}_q", name, "zero"], [to]),
    ]
    nodes = [*through("x", "coarse", "a"), helper.make_node("Relu", ["a"], ["b"]), *through("b", "fine", "c")]
    nodes.append(helper.make_node("Relu", ["c"], ["y"]))
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1])
    weights = [scale("coarse", 0.5), scale("fine", 0.25), helper.make_tensor("zero", TensorProto.UINT8, [], [0])]
    model = helper.make_model(helper.make_graph(nodes, "quantised", [value("x")], [value("y")], weights))
    assert graph.output_step(model) == 0.25
    del model.graph.node[:]
    assert graph.output_step(model) == 0
