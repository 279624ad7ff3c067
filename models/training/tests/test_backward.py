"""The written-out backward pass against torch's own differentiation, on untrained networks with random statistics."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import backward
import export
import export_guided_backprop
import mien_net
import mini_xception
from task_expression import Expression

CLASSES = 8


class Tiny(nn.Module):
    """A strided stem, a depthwise residual module over an even side and one over an odd side, and a head."""

    def __init__(self, classes):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, 2, padding=1, bias=False), mini_xception.norm(4), nn.ReLU())
        self.trunk = nn.Sequential(mini_xception.Module(4, 6, 14), mini_xception.Module(6, 8, 7))
        self.head = nn.Conv2d(8, classes, 3, padding=1)

    def forward(self, x):
        return self.head(self.trunk(self.stem(x)))


NETS = {"tiny": (Tiny, 28), "mini_xception": (mini_xception.build, 64), "mien_net": (mien_net.build, 48)}


@pytest.fixture(scope="module", params=NETS)
def case(request, tmp_path_factory):
    build, size = NETS[request.param]
    torch.manual_seed(1)
    net = build(15).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    net.head.weight.data /= 20  # derivatives of about 0.1, as trained ones
    model = export.export(net, Expression.HEADS, size, tmp_path_factory.mktemp("backward") / "net.onnx")
    return net, model, size


def autograd(net, image, target, rule):
    """The network itself, in double precision; guided by hooks at its ReLUs."""
    net = net.double()
    handles = [
        m.register_full_backward_hook(lambda m, given, got: (given[0].clamp(min=0),))
        for m in net.modules()
        if isinstance(m, nn.ReLU) and rule == "guided"
    ]
    image = image.double().requires_grad_()
    evidence = net(image)[:, :CLASSES]
    chosen = (target * evidence.mean((2, 3))).sum(1)
    torch.where(target.any(1), chosen, evidence.amax(1).sum((1, 2))).sum().backward()
    for handle in handles:
        handle.remove()
    net.float()
    return image.grad.float()


@pytest.mark.parametrize("rule", backward.RULES)
def test_backward_graph_is_torchs_derivative(case, rule):
    net, model, size = case
    # Three images of each class and three of no class.
    image, target = export_guided_backprop.example([1, size, size], CLASSES, 54)
    image, target = image[::2], target[:27]
    saliency = export_guided_backprop.run(backward.differentiate(model, rule), image, target)["saliency"]
    wanted = autograd(net, image, target, rule)
    largest = wanted.abs().amax((1, 2, 3))
    error = (saliency - wanted).abs().amax((1, 2, 3))
    # But for what rounding decides: at a ReLU's zero, or between two equal pixels, the derivative jumps.
    assert largest.min() > 0.005 and (error < 1e-4 * largest).sum() >= 24


@pytest.mark.parametrize("rule", backward.RULES)
def test_export_check_finds_no_difference_and_no_batch(case, rule):
    _, model, size = case
    image, target = export_guided_backprop.example([1, size, size], CLASSES, 18)
    differences = export_guided_backprop.check(model, backward.differentiate(model, rule), image, target, rule)
    assert differences["parity"] < 1e-4 and differences["batch"] < 1e-4


def test_an_image_does_not_depend_on_its_batch(case):
    _, model, size = case
    graph = backward.differentiate(model)
    image, target = export_guided_backprop.example([1, size, size], CLASSES, 8)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(2))
    together = export_guided_backprop.run(graph, image, target)["saliency"]
    shuffled = export_guided_backprop.run(graph, image[order], target[order])["saliency"]
    torch.testing.assert_close(shuffled, together[order], rtol=0, atol=1e-5)


def test_graph_is_as_promised(case):
    _, model, size = case
    graph = backward.differentiate(model)
    shape = lambda v: [d.dim_value or d.dim_param for d in v.type.tensor_type.shape.dim]
    assert {v.name: shape(v) for v in graph.graph.input} == {"image": ["batch", 1, size, size], "target": ["batch", 8]}
    assert {v.name: shape(v) for v in graph.graph.output} == {"saliency": ["batch", 1, size, size]}
    assert graph.opset_import[0].version == 17 and graph.ir_version == 8
    assert not {"If", "Loop", "Scan"} & {node.op_type for node in graph.graph.node}
    # The weights are shared: nothing but the benchmark head is missing, and next to nothing is added.
    assert len(graph.SerializeToString()) < len(model.SerializeToString()) + 8192


def test_mini_xceptions_graph_is_small():
    file = onnx.load(export_guided_backprop.manifest.MODELS / "expression_mini_xception/expression_mini_xception.onnx")
    assert len(backward.differentiate(file).SerializeToString()) < 400_000


@pytest.mark.parametrize("side", [4, 5, 8, 15])
@pytest.mark.parametrize("tied", [False, True])
def test_pool_gradient_goes_to_the_first_of_the_largest(side, tied):
    gen = torch.Generator().manual_seed(side)
    image = torch.rand(2, 3, side, side, generator=gen)
    image = (image * 3).floor() if tied else image
    pool = mini_xception.SamePool(side)
    odd = side % 2
    out = backward.Writer()
    node = onnx.helper.make_node(
        "MaxPool", ["x"], ["y", "y_index"], kernel_shape=[3, 3], strides=[2, 2], pads=[odd] * 4, ceil_mode=1 - odd
    )
    out.nodes.append(node)
    last = backward.through_pool(out, node, "g", {}, "guided")
    value = lambda name: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None] * 4)
    graph = onnx.helper.make_graph(
        out.nodes,
        "pool",
        [value("x"), value("g")],
        [value(last)],
        [onnx.numpy_helper.from_array(w, name) for name, w in out.weights.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = image.clone().requires_grad_()
    y = pool(x)
    gradient = torch.rand(y.shape, generator=gen)
    y.backward(gradient)
    (found,) = session.run(None, {"x": image.numpy(), "g": gradient.numpy()})
    np.testing.assert_allclose(found, x.grad.numpy(), atol=1e-6)


def test_golden_is_of_both_classes_and_away_from_kinks(case):
    _, model, size = case
    text = export_guided_backprop.golden(model, backward.differentiate(model), [1, size, size], CLASSES)
    assert text["target"]["shape"] == [2, CLASSES]
    assert [i % CLASSES for i, v in enumerate(text["target"]["values"]) if v] == export_guided_backprop.GOLDEN_CLASSES


def test_what_has_no_rule_is_refused(case):
    _, model, _ = case
    other = onnx.ModelProto()
    other.CopyFrom(model)
    next(node for node in other.graph.node if node.op_type == "Relu").op_type = "Sigmoid"
    with pytest.raises(ValueError, match="Cannot differentiate Sigmoid"):
        backward.differentiate(other)


def test_a_single_head_needs_no_slice(tmp_path):
    torch.manual_seed(2)
    heads = {"logits": ("two", ["a", "b"], "labels")}
    model = export.export(Tiny(2).eval(), heads, 28, tmp_path / "net.onnx")
    differences = export_guided_backprop.check(
        model, backward.differentiate(model), *export_guided_backprop.example([1, 28, 28], 2, 18)
    )
    assert differences["parity"] < 1e-4 and differences["batch"] < 1e-4
