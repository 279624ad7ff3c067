"""Export of an untrained network, the graph's facts, the manifest, and the alignment that goldens pin."""

import base64
import json

import numpy as np
import onnx
import pytest
import torch

import align
import card
import export
import goldens
import graph
import manifest
import mini_xception
import sequential_cnn
import task_expression
import train

HEADS = task_expression.Expression.HEADS


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """mini-Xception with random batch statistics, which a wrong fold would show."""
    torch.manual_seed(1)
    net = mini_xception.build(15).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
    file = tmp_path_factory.mktemp("export") / "net.onnx"
    return net, export.export(net, HEADS, 64, file), file


def test_graph_equals_the_network_in_any_batch(exported):
    net, _, file = exported
    differences = export.check(net, HEADS, 64, file)
    assert max(differences.values()) <= export.TOLERANCE, differences


def test_sequential_cnn_exports(tmp_path):
    torch.manual_seed(1)
    net = sequential_cnn.build(15).eval()
    model = export.export(net, HEADS, 48, tmp_path / "net.onnx")
    differences = export.check(net, HEADS, 48, tmp_path / "net.onnx")
    assert max(differences.values()) <= export.TOLERANCE, differences
    assert graph.describe(model)["outputs"][-1] == {"name": "evidence", "shape": ["batch", 8, 3, 3]}
    assert "Dropout" not in {node.op_type for node in model.graph.node}


def test_graph_is_as_the_manifest_promises(exported):
    _, model, _ = exported
    facts = graph.describe(model)
    assert facts["opset"] == 17 and model.ir_version == 8
    assert facts["outputs"] == [
        {"name": "logits", "shape": ["batch", 8]},
        {"name": "logits_fer2013", "shape": ["batch", 7]},
        {"name": "evidence", "shape": ["batch", 8, 4, 4]},
    ]
    assert [i.name for i in model.graph.input] == ["image"]
    # 10.16 million with one head of seven classes; each further class costs a 3x3 filter over 128 channels on 4x4.
    assert graph.multiply_adds(model, [1, 1, 64, 64]) == 10_163_392 + 8 * 16 * 9 * 128


def test_manifest_update_inserts_replaces_and_sorts(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "FILE", tmp_path / "manifest.json")
    for item in ({"name": "b", "v": 1}, {"name": "a", "v": 1}, {"name": "b", "v": 2}):
        manifest.update(item)
    assert manifest.read() == [{"name": "a", "v": 1}, {"name": "b", "v": 2}]
    assert manifest.entry("b")["v"] == 2
    with pytest.raises(KeyError, match="Cannot find c"):
        manifest.entry("c")


def test_manifest_file_facts(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "MODELS", tmp_path)
    (tmp_path / "x.bin").write_bytes(b"abc")
    facts = manifest.file_facts(tmp_path / "x.bin")
    assert facts["file"] == "x.bin" and facts["bytes"] == 3
    assert facts["sha256"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("item", manifest.read(), ids=lambda item: item["name"])
def test_committed_models_match_their_entries(item):
    file = manifest.MODELS / item["file"]
    assert manifest.file_facts(file).items() <= item.items()
    for part in [item["weights"]] if "weights" in item else []:
        assert manifest.file_facts(manifest.MODELS / part["file"]) == part
    facts = graph.describe(onnx.load(file))
    assert facts["opset"] == item["opset"]
    assert [o["name"] for o in facts["outputs"]] == [o["name"] for o in item["outputs"]]


@pytest.mark.parametrize(
    "name", [item["name"] for item in manifest.read() if item["task"] in train.TASKS and "calibration" in item]
)
def test_committed_cards_are_what_the_figures_give(name):
    assert (manifest.MODELS / name / "README.md").read_text() == card.card(name)


@pytest.mark.parametrize(
    "item", [i for i in manifest.read() if "measured" in i.get("calibration", {})], ids=lambda i: i["name"]
)
def test_scores_and_label_sets_mean_what_they_say(item):
    measured = item["calibration"]["measured"]
    assert measured["ece"] <= 0.03
    assert all(abs(row["coverage"] - row["asked"]) <= 0.02 for row in measured["conformal"])


def test_similarity_recovers_scale_rotation_and_shift():
    points = np.random.default_rng(1).uniform(0, 64, (5, 2))
    wanted = np.array([[1.2, -0.7, 5.0], [0.7, 1.2, -3.0]])
    np.testing.assert_allclose(align.similarity(points, points @ wanted[:, :2].T + wanted[:, 2]), wanted, atol=1e-9)


def test_shrink_averages_what_is_there():
    image = np.arange(15, dtype=float).reshape(3, 5, 1)
    assert align.shrink(image, 2)[..., 0].tolist() == [[3, 5, 6.5], [10.5, 12.5, 14]]


def test_sample_counts_the_outside_as_black():
    image = np.full((2, 2, 1), 100.0)
    x, y = np.array([[0.0, -0.5, 1.5, 3.0]]), np.zeros((1, 4))
    assert align.sample(image, x, y)[..., 0].tolist() == [[100, 50, 50, 0]]


def test_committed_goldens_are_what_the_code_gives(tmp_path, monkeypatch):
    committed = json.loads(goldens.FILE.read_text())
    monkeypatch.setattr(align, "template", lambda: committed["template"])
    monkeypatch.setattr(goldens, "FILE", tmp_path / "golden.json")
    goldens.preprocess()
    fresh = json.loads(goldens.FILE.read_text())
    for old, new in zip(committed["cases"], fresh["cases"], strict=True):
        tensors = [np.frombuffer(base64.b64decode(case["tensor"]), "<f4") for case in (old, new)]
        np.testing.assert_allclose(*tensors, atol=committed["tolerance"])
        assert old["pixelSum"] == new["pixelSum"]
