"""Learning from other models' answers, on synthetic faces."""

import numpy as np
import pytest
import torch

import evaluate
import task_expression
import teach
from task_expression import SPLIT


def test_answers_are_the_mean_over_a_tile_and_its_mirror_image(monkeypatch):
    def run_graph(entry, images, outputs):
        return images[:, 0, 0, :1].expand(-1, 15) * torch.arange(15)

    monkeypatch.setattr(evaluate, "run_graph", run_graph)
    tiles = torch.zeros(1, 4, 4, dtype=torch.uint8)
    tiles[:, :, 3] = 255
    given = teach.answers({"inputs": [{"shape": [1, 1, 4, 4]}]}, tiles)
    views = [torch.arange(15.0) * bright for bright in (0.0, 1.0)]
    expected = sum(torch.cat([view[:SPLIT].softmax(0), view[SPLIT:].softmax(0)]) for view in views) / 2
    torch.testing.assert_close(given[0], expected)


def test_teacher_takes_its_share_of_the_loss(trainer, tmp_path):
    task = task_expression.Expression("train", 48)
    index = torch.arange(len(task))
    outputs = torch.randn(len(task), 15, 3, 3, generator=torch.Generator().manual_seed(1))
    alone = task.loss(outputs, index).item()
    labels = torch.cat([task.ferplus, torch.nn.functional.one_hot(task.fer2013.clamp(min=0), 7)], 1)
    np.savez(task_expression.teacher_file("same"), answers=labels.numpy())
    task.learn_from("same", 0.5)
    assert task.loss(outputs, index).item() == pytest.approx(alone, abs=1e-5)
    np.savez(task_expression.teacher_file("even"), answers=np.full((len(task), 15), 1 / 8, dtype=np.float32))
    task.learn_from("even", 0.0)
    assert task.loss(outputs, index).item() == pytest.approx(alone, abs=1e-5)
    task.learn_from("even", 1.0)
    assert abs(task.loss(outputs, index).item() - alone) > 0.01


def test_training_reads_the_teacher_it_is_told(trainer):
    answers = np.full((24, 15), 1 / 8, dtype=np.float32)
    np.savez(task_expression.teacher_file("even"), answers=answers)
    plain = trainer("mien_net", "plain", "--epochs", "1")
    taught = trainer("mien_net", "taught", "--epochs", "1", "--teacher", "even", "--teacher-weight", "1")
    assert not torch.equal(plain["net"]["head.weight"], taught["net"]["head.weight"])
    with pytest.raises(FileNotFoundError, match="teach.py nobody"):
        trainer("mien_net", "lost", "--teacher", "nobody")
