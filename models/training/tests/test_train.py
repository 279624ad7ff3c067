"""Resuming, on tiny synthetic arrays put into a temporary cache."""

import os
import signal

import numpy as np
import pytest
import torch

import augment
import prepare
import train

N = 24


@pytest.fixture
def start(tmp_path, monkeypatch):
    """A function that trains for three epochs of three steps and returns the state it left, or None."""
    rng = np.random.default_rng(1)
    for split in ("train", "valid"):
        votes = np.zeros((N, 10), dtype=np.uint8)
        votes[np.arange(N), rng.integers(0, 8, N)] = 10
        images = rng.integers(0, 256, (N, 48, 48), dtype=np.uint8)
        np.savez(tmp_path / f"fer_{split}.npz", images=images, votes=votes, fer2013=rng.integers(-1, 7, N))
    monkeypatch.setattr(prepare, "CACHE", tmp_path)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def run(name):
        plan = ["--epochs", "3", "--batch", "8", "--threads", "1"]
        train.train(train.parse(["mini_xception", "--name", name, "--runs", str(tmp_path), *plan]))
        return torch.load(tmp_path / name / "state.pt", weights_only=True)

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_resume_equals_an_unbroken_run(start, monkeypatch):
    unbroken = start("unbroken")
    assert unbroken["step"] == 9
    update = train.Ema.update

    def update_and_stop(self, net):
        update(self, net)
        if self.step == 5:  # in the middle of the second epoch
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(train.Ema, "update", update_and_stop)
        assert start("broken")["step"] == 5
    resumed = start("broken")
    assert resumed["step"] == 9
    for part in ("net", "ema"):
        different = [key for key, value in unbroken[part].items() if not torch.equal(value, resumed[part][key])]
        assert different == []


def test_learning_rate_warms_up_and_falls_to_zero():
    rates = [train.learning_rate(step, 100, 1.0) for step in range(101)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == rates[9] == 1.0
    assert rates[9:] == sorted(rates[9:], reverse=True) and rates[100] == pytest.approx(0)


def test_average_starts_at_the_weights_and_follows():
    net = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(net.weight)
    ema = train.Ema(net, 0.998)
    torch.nn.init.ones_(net.weight)
    ema.update(net)
    assert ema.state["weight"].item() == pytest.approx(9 / 11)  # decay of the first step is 2 / 11


def test_augmentation_depends_only_on_its_numbers():
    tiles = torch.randint(0, 256, (4, 48, 48), dtype=torch.uint8)
    one, same, other = (augment.warp(tiles, 64, augment.generator(*n)) for n in ((1, 2, 3), (1, 2, 3), (1, 2, 4)))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert one.shape == (4, 1, 64, 64) and one.min() >= 0 and one.max() <= 1
