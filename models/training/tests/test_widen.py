"""Wider weights of our net: the same answers, no twins, and training that starts from them."""

import pytest
import torch

import mien_net
import weights
import widen

WIDER = (16, 32, 64, 96, 200)


def settled(net):
    """Running statistics as after some training, not the untrained zeros and ones."""
    gen = torch.Generator().manual_seed(2)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=gen)
            module.running_var.uniform_(0.5, 1.5, generator=gen)
            module.weight.data.uniform_(0.5, 1.5, generator=gen)
    return net.eval()


def test_a_wider_net_answers_the_same():
    torch.manual_seed(1)
    narrow, wide = settled(mien_net.build()), mien_net.build(widths=WIDER).eval()
    wide.load_state_dict(widen.widen(narrow.state_dict(), wide, noise=0))
    images = torch.rand(3, 1, 48, 48) * 2 - 1
    with torch.no_grad():
        expected = narrow(images)
        torch.testing.assert_close(wide(images), expected, atol=1e-4, rtol=1e-4)
        wide.load_state_dict(widen.widen(narrow.state_dict(), wide))
        noisy = wide(images)
    assert 0 < (noisy - expected).abs().max() < expected.std()


def test_no_two_channels_stay_twins():
    wide = mien_net.build(widths=WIDER)
    state = widen.widen(mien_net.build().state_dict(), wide)
    for kernel in (value for value in state.values() if value.ndim == 4):
        rows = kernel.flatten(1)
        assert len(rows.unique(dim=0)) == len(rows)


def test_the_same_widths_change_nothing_and_a_narrower_net_is_refused():
    net = mien_net.build()
    state = widen.widen(net.state_dict(), mien_net.build())
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
    with pytest.raises(ValueError, match="Cannot widen 160 channels to 100"):
        widen.widen(net.state_dict(), mien_net.build(widths=(16, 24, 48, 96, 100)))


def test_training_starts_from_a_narrower_net(trainer, tmp_path):
    file = tmp_path / "weights.safetensors"
    weights.save(mien_net.build().state_dict(), "mien_net", file)
    state = trainer("mien_net", "wide", "--epochs", "1", "--start", str(file), "--set", "widths=[16,24,48,96,176]")
    assert state["net"]["head.weight"].shape == (15, 176, 3, 3)
