"""The written-out Grad-CAM against torch's own differentiation of the network."""

import numpy as np
import onnxruntime
import pytest
import torch

import export
import export_grad_cam
import grad_cam
import patt_lite
from task_expression import Expression

CLASSES = 8


@pytest.fixture(scope="module", params=[96, 112])
def case(request, tmp_path_factory):
    torch.manual_seed(1)
    net = patt_lite.PattLite(15, request.param).eval()
    net.trunk = torch.nn.Sequential(torch.nn.Conv2d(1, 512, 16, 16), torch.nn.ReLU6())  # the head is what matters here
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.bias, 0, 0.5)
        elif isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    net.attention.scale.data.fill_(3)  # an attention that is not flat
    file = tmp_path_factory.mktemp("cam") / "net.onnx"
    return net, export.export(net, Expression.HEADS, request.param, file), request.param


def autograd(net, image, labels):
    """Grad-CAM of the network itself, in double precision, before and after what speaks against is cut off."""
    net = net.double()
    features = net.trunk(image.double()).detach().requires_grad_()
    whole, net.trunk = net.trunk, torch.nn.Identity()
    try:
        logits = net.read(features)[0].mean((2, 3))
    finally:
        net.trunk = whole
    (gradient,) = torch.autograd.grad(logits[torch.arange(len(labels)), labels].sum(), features)
    found = (features * gradient.mean((2, 3), keepdim=True)).sum(1, keepdim=True)
    net.float()
    return features.detach().float(), found.detach()


def run(model, features, target):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(["map"], {"features": features.numpy(), "target": target.numpy()})[0])


def test_grad_cam_is_autograds(case):
    net, model, size = case
    gen = torch.Generator().manual_seed(2)
    image, labels = torch.rand(16, 1, size, size, generator=gen) * 2 - 1, torch.arange(16) % CLASSES
    features, expected = autograd(net, image, labels)
    found = run(grad_cam.build(model), features, torch.eye(CLASSES)[labels])
    scale = expected.abs().max().item()
    assert scale > 0.01 and (expected > 0).double().mean() > 0.05 and (expected < 0).double().mean() > 0.05
    torch.testing.assert_close(found.double() / scale, expected.relu() / scale, rtol=0, atol=1e-5)


def test_grad_cam_of_a_face_does_not_depend_on_the_others(case):
    net, model, size = case
    graph = grad_cam.build(model)
    features = torch.rand(8, 512, 6 if size == 96 else 7, 6 if size == 96 else 7)
    target = torch.eye(CLASSES)
    together = run(graph, features, target)
    alone = torch.cat([run(graph, features[i : i + 1], target[i : i + 1]) for i in range(8)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


def test_grad_cam_holds_the_head_only(case):
    net, model, _ = case
    weights = {w.name: w for w in grad_cam.build(model).graph.initializer}
    assert not any("trunk" in name or name.startswith("onnx::Conv") for name in weights)
    kept = sum(np.prod(w.dims) for w in weights.values())
    assert kept < 1.02 * sum(p.numel() for name, p in net.named_parameters() if not name.startswith("trunk"))


def test_an_operator_without_a_rule_is_named(case):
    _, model, _ = case
    other = type(model)()
    other.CopyFrom(model)
    next(n for n in other.graph.node if n.op_type == "Softmax").op_type = "LogSoftmax"
    with pytest.raises(ValueError, match="Cannot differentiate LogSoftmax"):
        grad_cam.build(other)


def test_the_verbs_own_check_agrees_and_notices_a_wrong_graph(case):
    _, model, _ = case
    graph = grad_cam.build(model)
    sample = export_grad_cam.features_of(model, 8)
    differences = export_grad_cam.check(model, graph, *sample)
    assert max(differences.values()) <= export_grad_cam.TOLERANCE, differences
    next(n for n in graph.graph.node if n.output[0] == "map").op_type = "Neg"
    assert export_grad_cam.check(model, graph, *sample)["parity"] > 0.1
