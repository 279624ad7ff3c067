"""PAtt-Lite against its published size, TensorFlow's padding, and what its attention promises."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch.nn import functional as F

import export
import graph
import half
import imagenet_weights
import mobilenet
import patt_lite
import train
from task_expression import Expression


def stored(net):
    """Weights and running statistics, as Keras counts them."""
    return sum(value.numel() for value in net.state_dict().values() if value.dtype.is_floating_point)


@pytest.fixture(scope="module")
def net():
    """Random batch statistics, which a wrong fold would show; a head whose logits are of a trained one's size."""
    torch.manual_seed(1)
    net = patt_lite.build(15).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, 0, 0.5)
        elif isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    return net


@pytest.fixture(scope="module")
def images():
    return torch.rand(6, 1, patt_lite.SIZE, patt_lite.SIZE, generator=torch.Generator().manual_seed(2)) * 2 - 1


@pytest.mark.parametrize(("classes", "total"), [(7, 1_102_664), (8, 1_102_697)])
def test_parameter_count(classes, total):
    net = patt_lite.PattLite(classes, size=224, planes=3)
    assert stored(net) == total
    assert stored(net.trunk) == 821_952 and stored(net.patches) == 272_128


def test_the_whole_mobilenet_has_the_published_count():
    assert stored(mobilenet.MobileNet(classes=1000)) == 4_253_864  # Keras: MobileNet(weights=None).count_params()


def test_multiply_adds_at_the_papers_size(tmp_path):
    net = patt_lite.PattLite(15, size=224).eval()
    model = export.export(net, Expression.HEADS, 224, tmp_path / "net.onnx")
    # 337 million in the paper; two of the first convolution's three planes are gone, and 8 of 15 classes are more.
    planes = 2 * 32 * 9 * 112 * 112
    assert round((graph.multiply_adds(model, [1, 1, 224, 224]) + planes) / 1e6) == 337


def test_shapes_at_the_papers_size_and_at_ours():
    for size, side in ((224, 14), (128, 8), (112, 7), (96, 6)):
        net = patt_lite.PattLite(15, size).eval()
        evidence, attention, features = net.read(torch.zeros(2, 1, size, size))
        assert features.shape == (2, 512, side, side)
        assert evidence.shape == (2, 15, 2, 2) and attention.shape == (2, 1, 2, 2)


@pytest.mark.parametrize(
    ("side", "expected"),
    [
        (4, [[303, 225], [253, 163]]),  # padded at the bottom and right only
        (5, [[100, 202, 160], [408, 636, 426], [304, 436, 268]]),  # padded by one on every side
    ],
)
def test_same_padding_is_tensorflows(side, expected):
    conv = mobilenet.SameConv(1, 1, 3, side, 2)
    conv.weight.data = torch.arange(1, 10, dtype=torch.float32).view(1, 1, 3, 3)
    image = torch.arange(side * side, dtype=torch.float32).view(1, 1, side, side)
    assert conv(image)[0, 0].tolist() == expected


def test_patches_are_padded_as_tensorflows_k4_s4():
    assert mobilenet.same(14, 4, 4) == (1, 1)
    pads = {side: patt_lite.Patches(8, side).pads[:2] for side in (14, 8, 7, 6)}
    assert pads == {14: [1, 1], 8: [0, 0], 7: [0, 1], 6: [1, 1]}


def test_one_gray_plane_equals_three_equal_ones(images):
    torch.manual_seed(3)
    three = patt_lite.PattLite(15, planes=3).eval()
    one = patt_lite.PattLite(15, planes=1).eval()
    state = three.state_dict()
    state["trunk.0.0.weight"] = state["trunk.0.0.weight"].sum(1, keepdim=True)
    one.load_state_dict(state)
    torch.testing.assert_close(one(images), three(images.expand(-1, 3, -1, -1)), rtol=0, atol=1e-5)


def test_evidence_is_the_attention_layer_written_apart(net, images):
    with torch.no_grad():
        evidence, attention, features = net.read(images)
        tokens = net.token(net.patches(features)).flatten(2).transpose(1, 2)
        mixed = (tokens @ tokens.transpose(1, 2) * net.attention.scale / 32**0.5).softmax(2) @ tokens
        logits = F.linear(mixed.mean(1), net.head.weight[:, :, 0, 0], net.head.bias)
    torch.testing.assert_close(evidence.mean((2, 3)), logits, rtol=0, atol=1e-4)
    torch.testing.assert_close(attention.sum((1, 2, 3)), torch.ones(len(images)))


def test_affine_is_batch_normalisation():
    affine = patt_lite.Affine(3).eval()
    torch.nn.init.uniform_(affine.running_mean)
    torch.nn.init.uniform_(affine.running_var, 0.5, 2)
    torch.nn.init.uniform_(affine.weight, 0.5, 2)
    x = torch.randn(2, 3, 2, 2)
    torch.testing.assert_close(affine(x), torch.nn.BatchNorm2d.forward(affine, x))


def test_freeze_holds_the_trunk_still_then_its_first_units():
    net = patt_lite.build().train()
    patt_lite.freeze(net, True)
    assert not any(p.requires_grad for p in net.trunk.parameters()) and not any(
        m.training for u in net.trunk for m in u.modules()
    )
    assert all(p.requires_grad for p in net.patches.parameters())
    net.train()
    patt_lite.freeze(net, False)
    assert [all(p.requires_grad for p in unit.parameters()) for unit in net.trunk] == [False] * 3 + [True] * 15
    assert [unit.training for unit in net.trunk] == [False] * 3 + [True] * 15


def test_each_stage_warms_up_and_falls_to_zero():
    rates = [train.staged_rate(step, 60, 20, 1.0) for step in range(60)]
    assert max(rates[:20]) == max(rates[20:]) == 1.0
    assert rates[19] < 0.02 and rates[59] < 0.02 and rates[20] == pytest.approx(0.25)


def test_export_has_no_pad_and_equals_the_network(net, tmp_path):
    model = export.export(net, Expression.HEADS, patt_lite.SIZE, tmp_path / "net.onnx")
    assert not {"Pad", "BatchNormalization", "Shape"} & {node.op_type for node in model.graph.node}
    differences = export.check(net, Expression.HEADS, patt_lite.SIZE, tmp_path / "net.onnx")
    assert max(differences.values()) <= export.TOLERANCE, differences
    outputs = {o["name"]: o["shape"] for o in graph.describe(model)["outputs"]}
    assert outputs["evidence"] == ["batch", 8, 2, 2] and outputs["attention"] == ["batch", 1, 2, 2]


def run(model, images):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"image": images.numpy()})[0]


def test_kernels_in_half_precision_are_only_rounded(net, images, tmp_path):
    model = export.export(net, Expression.HEADS, patt_lite.SIZE, tmp_path / "net.onnx")
    narrow = half.halve(model)
    onnx.checker.check_model(narrow, full_check=True)
    assert narrow.ByteSize() < 0.52 * model.ByteSize()
    wide = half.whole(narrow)
    assert [n.op_type for n in wide.graph.node] == [n.op_type for n in model.graph.node]
    assert np.array_equal(run(narrow, images), run(wide, images))
    assert not np.array_equal(run(narrow, images), run(model, images))
    weights = [{w.name: onnx.numpy_helper.to_array(w) for w in m.graph.initializer} for m in (model, wide)]
    assert weights[0].keys() == weights[1].keys()
    for name, value in weights[0].items():
        rounded = value.astype(np.float16).astype(np.float32) if value.ndim > 1 else value
        assert np.array_equal(weights[1][name], rounded), name


def field(number, value):
    """One field of a protocol buffer: a varint, or bytes with their length."""
    if isinstance(value, int):
        return bytes([number * 8]) + varint(value)
    return bytes([number * 8 + 2]) + varint(len(value)) + value


def varint(value):
    return bytes([value]) if value < 128 else bytes([value % 128 + 128]) + varint(value // 128)


def node(name, op, tensor=b""):
    attribute = field(1, b"value") + field(2, field(8, tensor))
    return field(1, field(1, name) + field(2, op) + field(5, attribute))


def test_constants_of_a_frozen_graph():
    values = np.arange(200, dtype="<f4").reshape(2, 100)
    shape = field(2, field(2, field(1, 2)) + field(2, field(1, 100)))
    number = field(1, 1) + shape + field(4, values.tobytes())
    text = node(b"a/weights", b"Const", number) + node(b"b", b"Identity") + node(b"c", b"Const", field(1, 3))
    found = imagenet_weights.constants(text)
    assert list(found) == ["a/weights"] and np.array_equal(found["a/weights"], values)


def test_converted_weights_fit_and_are_turned_the_right_way():
    rng, wanted, constants = np.random.default_rng(1), mobilenet.MobileNet().state_dict(), {}
    for unit in range(mobilenet.UNITS):
        half_of = "" if unit == 0 else "_depthwise" if unit % 2 else "_pointwise"
        scope = f"MobilenetV1/Conv2d_{(unit + 1) // 2}{half_of}"
        out, into, high, wide = wanted[f"trunk.{unit}.0.weight"].shape
        shape = (high, wide, out, into) if half_of == "_depthwise" else (high, wide, into, out)
        name = "depthwise_weights" if half_of == "_depthwise" else "weights"
        constants[f"{scope}/{name}"] = rng.random(shape, dtype=np.float32)
        for part in ("gamma", "beta", "moving_mean", "moving_variance"):
            constants[f"{scope}/BatchNorm/{part}"] = rng.random(out, dtype=np.float32)
    constants["MobilenetV1/Logits/Conv2d_1c_1x1/weights"] = rng.random((1, 1, 1024, 1001), dtype=np.float32)
    constants["MobilenetV1/Logits/Conv2d_1c_1x1/biases"] = rng.random(1001, dtype=np.float32)
    state = imagenet_weights.convert(constants)
    mobilenet.MobileNet().load_state_dict(state)
    deep, flat = (
        constants["MobilenetV1/Conv2d_1_depthwise/depthwise_weights"],
        constants["MobilenetV1/Conv2d_0/weights"],
    )
    assert state["trunk.1.0.weight"][5, 0, 1, 2] == deep[1, 2, 5, 0]
    assert state["trunk.0.0.weight"][7, 2, 1, 0] == flat[1, 0, 2, 7]
