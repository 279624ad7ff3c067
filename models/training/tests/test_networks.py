"""mini-Xception against its published size, its padding, and the rules every network keeps."""

import pytest
import torch

import mien_net
import mini_xception
import patt_lite
import sequential_cnn
import task_expression


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(1)
    return mini_xception.build(task_expression.CLASSES).eval()


def stored(net):
    """Weights and running statistics, as Keras counts them."""
    return sum(value.numel() for value in net.state_dict().values() if value.dtype.is_floating_point)


@pytest.mark.parametrize(("classes", "total"), [(7, 58_423), (2, 52_658), (8, 59_576), (15, 67_647)])
def test_parameter_count(classes, total):
    assert stored(mini_xception.build(classes)) == total


def test_trainable_parameter_count():
    assert sum(p.numel() for p in mini_xception.build(7).parameters()) == 56_951


def test_parameter_count_of_the_sequential_cnn():
    assert stored(sequential_cnn.build(7)) == 642_935


def test_shapes_of_the_sequential_cnn():
    assert sequential_cnn.build(15).eval()(torch.zeros(2, 1, 48, 48)).shape == (2, 15, 3, 3)


def test_shapes_of_every_stage(net):
    x = torch.zeros(2, 1, 64, 64)
    x = net.stem(x)
    sides = [x.shape[2]]
    for module in net.trunk:
        x = module(x)
        sides.append(x.shape[2])
    assert sides == [60, 30, 15, 8, 4]
    assert net.head(x).shape == (2, 15, 4, 4)


@pytest.mark.parametrize(
    ("side", "expected"),
    [
        (4, [[10, 11], [14, 15]]),  # padded at the bottom and right only
        (5, [[6, 8, 9], [16, 18, 19], [21, 23, 24]]),  # padded by one on every side
    ],
)
def test_same_pooling_is_tensorflows(side, expected):
    pool = mini_xception.SamePool(side)
    image = torch.arange(side * side, dtype=torch.float32).view(1, 1, side, side)
    assert pool(image)[0, 0].tolist() == expected
    # The padding is minus infinity, not zero.
    assert torch.equal(pool(image - 100)[0, 0] + 100, torch.tensor(expected, dtype=torch.float32))


NETWORKS = pytest.mark.parametrize(
    "module", [mini_xception, sequential_cnn, mien_net, patt_lite], ids=lambda module: module.__name__
)


@NETWORKS
def test_an_image_does_not_depend_on_its_batch(module):
    gen = torch.Generator().manual_seed(2)
    net = module.build(15).eval()
    images = torch.rand(32, 1, module.SIZE, module.SIZE, generator=gen) * 2 - 1
    order = torch.randperm(32, generator=gen)
    with torch.no_grad():
        alone = torch.cat([net(image[None]) for image in images])
        for count in (8, 32):
            torch.testing.assert_close(net(images[order[:count]]), alone[order[:count]], rtol=0, atol=1e-4)


@NETWORKS
def test_gradients_reach_every_parameter(module):
    torch.manual_seed(3)
    net = module.build(15).train()
    logits = net(torch.rand(8, 1, module.SIZE, module.SIZE) * 2 - 1).mean((2, 3))
    torch.nn.functional.cross_entropy(logits, torch.arange(8)).backward()
    dead = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert dead == []
