import contextlib
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import prepare
import train

FACES = 24


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors: a second thread only costs time."""
    torch.set_num_threads(1)


@pytest.fixture
def trainer(tmp_path, monkeypatch):
    """A function that trains a network on synthetic faces, three epochs of three steps, and returns the state it left."""
    rng = np.random.default_rng(1)
    for split in ("train", "valid"):
        votes = np.zeros((FACES, 10), dtype=np.uint8)
        votes[np.arange(FACES), rng.integers(0, 8, FACES)] = 10
        images = rng.integers(0, 256, (FACES, 48, 48), dtype=np.uint8)
        np.savez(tmp_path / f"fer_{split}.npz", images=images, votes=votes, fer2013=rng.integers(-1, 7, FACES))
    monkeypatch.setattr(prepare, "CACHE", tmp_path)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def run(network, name, *options):
        plan = ["--epochs", "3", "--batch", "8", "--threads", "1", *options]
        train.train(train.parse([network, "--name", name, "--runs", str(tmp_path), *plan]))
        return torch.load(tmp_path / name / "state.pt", weights_only=True)

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)
    for state in tmp_path.glob("*/state.pt"):  # pytest keeps the folder, and these are large
        state.unlink()


@pytest.fixture
def stopped_at_five(monkeypatch):
    """A context in which a run is told to stop after its fifth step, in the middle of the second epoch."""
    update = train.Ema.update

    def update_and_stop(self, net):
        update(self, net)
        if self.step == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    @contextlib.contextmanager
    def stopped():
        with monkeypatch.context() as patch:
            patch.setattr(train.Ema, "update", update_and_stop)
            yield

    return stopped
