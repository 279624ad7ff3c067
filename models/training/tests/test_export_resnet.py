"""DACL and SCN as ONNX: what they give beside the label, alone and in any batch, and what the manifest says of it."""

import onnx
import onnxruntime
import pytest
import torch

import check_heatmaps
import dacl
import export
import graph
import half
import manifest
import mien_net
import resnet18
import scn
import weights
from task_expression import Expression

HEADS = Expression.HEADS
# Multiply-adds: the stem on 32x32 cells; the first stage's four convolutions on 16x16 cells (with pooling), and each further
# stage's, of which the first has half the inputs, with its shortcut, on a quarter of the cells of the one before.
STEM = 64 * 49 * 32 * 32
STAGES = 64 * 64 * 256 * 9 * 4 + 3 * (128 * 128 * 64 * 9 * 7 // 2 + 128 * 64 * 64)
BUILDS = {
    "resnet18": resnet18.build,
    "dacl": dacl.build,
    "dacl dilated": lambda: dacl.build(pool=True, dilated=True),
    "dacl published": lambda: dacl.build(pool=True, context="published"),
    "scn": scn.build,
}


@pytest.fixture(scope="module", params=BUILDS)
def exported(request, tmp_path_factory):
    """A network with random batch statistics, which a wrong fold would show, and its file."""
    torch.manual_seed(1)
    net = BUILDS[request.param]().eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.8, 1.25)
            torch.nn.init.uniform_(module.weight, 0.2, 0.6)
    file = tmp_path_factory.mktemp("export") / "net.onnx"
    yield request.param, net, export.export(net, HEADS, 64, file), file
    file.unlink()


def test_graph_equals_the_network_in_any_batch(exported):
    _, net, _, file = exported
    differences = export.check(net, HEADS, 64, file)
    assert max(differences.values()) <= export.TOLERANCE, differences


def test_outputs_are_as_the_contract_names_them(exported):
    name, _, model, _ = exported
    outputs = {o["name"]: o["shape"][1:] for o in graph.describe(model)["outputs"]}
    side = 2 if "published" in name else 4
    expected = {"logits": [8], "logits_fer2013": [7], "evidence": [8, side, side]}
    if "dacl" in name:
        expected |= {"embedding": [512], "attention": [512], "distances": [8], "attentive_evidence": [8, side, side]}
    if name == "scn":
        expected["alpha"] = [1]
    assert outputs == expected
    assert all(o["shape"][0] == "batch" for o in graph.describe(model)["outputs"])


def test_the_entry_says_which_output_explains(exported, monkeypatch):
    name, net, model, file = exported
    monkeypatch.setattr(export.manifest, "file_facts", lambda path: {"file": "x/x.onnx", "sha256": "", "bytes": 0})
    state = {"step": 1, "config": {"network": name, "epochs": 1, "batch": 1, "seed": 1}}
    entry = export.entry("expression_x", net, dacl if "dacl" in name else scn, model, file, state)
    explains = {o["name"]: o["explains"] for o in entry["outputs"] if "explains" in o}
    assert explains == ({"attentive_evidence": "attention"} if "dacl" in name else {})
    assert entry["explanations"] == ["evidence", *(["attention"] if "dacl" in name else [])]
    if name == "resnet18":
        assert entry["multiplyAdds"] == STEM + 4 * STAGES + 512 * 15 * 16


def test_pooling_costs_a_quarter(tmp_path):
    model = export.export(resnet18.build(pool=True).eval(), HEADS, 64, tmp_path / "net.onnx")
    assert graph.multiply_adds(model, [1, 1, 64, 64]) == STEM + STAGES + 512 * 15 * 4
    assert {n.op_type for n in onnx.load(tmp_path / "net.onnx").graph.node} >= {"Conv", "Relu", "MaxPool", "Add"}


@pytest.mark.parametrize("build", [dacl.build, scn.build], ids=["dacl", "scn"])
def test_the_graph_for_a_gpu_server_holds_the_weights_to_start_from(build, tmp_path):
    torch.manual_seed(1)
    net, other = build(pool=True).eval(), build(pool=True).eval()  # new normalisations are equal, and written once
    file = tmp_path / "net_fp16.onnx"
    onnx.save(half.halve(export.export(net, HEADS, 64, file, fold=False)), file)
    weights.start(other, weights.load(file), ["margin"])
    images = torch.rand(4, 1, 64, 64) * 2 - 1
    with torch.no_grad():
        expected, found = net(images).mean((2, 3)), other(images).mean((2, 3))
    assert torch.allclose(expected, found, atol=0.01 * expected.abs().max().item())
    (logits,) = onnxruntime.InferenceSession(file).run(["logits"], {"image": images.numpy()})
    assert torch.allclose(torch.from_numpy(logits), found[:, :8], atol=1e-4)


@pytest.mark.parametrize("build", [dacl.build, scn.build], ids=["dacl", "scn"])
def test_heatmaps_of_int8_are_checked_on_the_weights_beside_it(build, tmp_path, monkeypatch):
    torch.manual_seed(1)
    net, variant, file = build(pool=True).eval(), tmp_path / "net_fp16.onnx", tmp_path / "net.onnx"
    onnx.save(half.halve(export.export(net, HEADS, 64, variant, fold=False)), variant)
    monkeypatch.setattr(manifest, "MODELS", tmp_path)
    found = check_heatmaps.float_graph({"precision": "int8", "variants": [{"file": variant.name}]})
    assert not {"BatchNormalization", "Cast"} & {node.op_type for node in found.graph.node}
    images = torch.rand(4, 1, 64, 64) * 2 - 1
    wanted, got = (check_heatmaps.Model(m).logits(images) for m in (export.export(net, HEADS, 64, file), found))
    assert torch.allclose(wanted, got, atol=0.01 * wanted.abs().max().item())
    # Without weights of its own it must answer otherwise, and not with a constant.
    other = check_heatmaps.Model(check_heatmaps.with_random_weights(found, 1)).evidence(images, torch.zeros(4).long())
    assert other.flatten(1).std(1).min() > 0


def test_heatmaps_of_int8_without_a_variant_are_checked_on_the_stored_weights(tmp_path, monkeypatch):
    torch.manual_seed(1)
    net = mien_net.build().eval()
    weights.save(net.state_dict(), "mien_net", tmp_path / weights.NAME)
    monkeypatch.setattr(manifest, "MODELS", tmp_path)
    found = check_heatmaps.float_graph({"precision": "int8", "variants": [], "weights": {"file": weights.NAME}})
    images = torch.rand(4, 1, 48, 48) * 2 - 1
    with torch.no_grad():
        expected = net(images).mean((2, 3))[:, :8]
    got = check_heatmaps.Model(found).logits(images)
    assert torch.allclose(expected, got, atol=0.01 * expected.abs().max().item())
