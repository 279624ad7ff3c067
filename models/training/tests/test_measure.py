"""Figures and calibration on numbers that can be checked by hand."""

import pytest
import torch

import calibration
import evaluate


def test_temperature_is_recovered():
    gen = torch.Generator().manual_seed(1)
    logits = torch.randn(20_000, 5, generator=gen) * 2
    labels = torch.multinomial(logits.softmax(1), 1, generator=gen)[:, 0]
    assert calibration.fit_temperature(logits * 3, labels) == pytest.approx(3, rel=0.05)


def test_ece_by_hand():
    probabilities = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    labels = torch.tensor([0, 1, 0, 0])
    # two at 0.9 are right half the time, two at 0.6 always: (2 * 0.4 + 2 * 0.4) / 4
    assert calibration.ece(probabilities, labels) == pytest.approx(0.4)
    assert calibration.ece(torch.tensor([[1.0, 0.0]]), torch.tensor([0])) == 0


def test_lac_threshold_takes_the_finite_sample_rank():
    truth = torch.arange(1, 10).double() / 10  # p(true) 0.1 .. 0.9, so 1 - p likewise
    probabilities = torch.stack([truth, 1 - truth], 1)
    labels = torch.zeros(9, dtype=torch.long)
    assert calibration.lac_threshold(probabilities, labels, 0.8) == pytest.approx(0.8)  # rank ceil(10 * 0.8) = 8
    assert calibration.lac_threshold(probabilities, labels, 0.99) == pytest.approx(0.9)


def test_label_sets_may_hold_one_many_or_none():
    probabilities = torch.tensor([[0.9, 0.05, 0.05], [0.45, 0.45, 0.1], [0.34, 0.33, 0.33]])
    assert calibration.label_sets(probabilities, 0.6).sum(1).tolist() == [1, 2, 0]


def test_halves_are_disjoint_and_even_per_class():
    labels = torch.tensor([0] * 10 + [1] * 4 + [2] * 2)
    a, b = calibration.halves(labels, 1)
    assert sorted([*a.tolist(), *b.tolist()]) == list(range(16))
    assert labels[a].bincount().tolist() == labels[b].bincount().tolist() == [5, 2, 1]
    assert torch.equal(a, calibration.halves(labels, 1)[0]) and not torch.equal(a, calibration.halves(labels, 2)[0])


def test_coverage_holds_on_faces_not_fitted():
    gen = torch.Generator().manual_seed(2)
    logits = torch.randn(8000, 8, generator=gen) * 2
    labels = torch.multinomial(logits.softmax(1), 1, generator=gen)[:, 0]
    result = calibration.calibrate(logits * 1.7, labels)
    assert result["temperature"] == pytest.approx(1.7, rel=0.06)
    assert result["measured"]["ece"] < 0.03 < result["measured"]["eceUncalibrated"]
    for row in result["measured"]["conformal"]:
        assert row["coverage"] == pytest.approx(row["asked"], abs=0.02)
        assert 0 < row["deviation"] < 0.02
    thresholds = result["conformal"]["thresholds"]
    assert list(thresholds.values()) == sorted(thresholds.values())
    assert (result["temperature"], thresholds) == calibration.fit(
        (logits * 1.7).double(), labels
    )  # served: all of them


def test_calibration_is_never_measured_on_what_it_was_fitted_on(monkeypatch):
    fitted, rounds = [], []
    logits, labels = torch.arange(60.0)[:, None].expand(60, 3), torch.arange(60) % 3
    numbers = lambda rows: set(rows[:, 0].int().tolist())
    real = calibration.fit
    monkeypatch.setattr(calibration, "fit", lambda x, y: fitted.append(numbers(x)) or real(x, y))
    measured = {"ece": 0.0, "conformal": [{"asked": 0.9, "coverage": 0.9, "meanSetSize": 1.0, "empty": 0.0}]}
    monkeypatch.setattr(calibration, "measure", lambda x, *_: rounds.append((fitted[-1], numbers(x))) or measured)
    calibration.calibrate(logits, labels)
    assert len(rounds) == 2 * calibration.HALVINGS
    assert all(a | b == set(range(60)) and not a & b for a, b in rounds)


def test_figures_by_hand():
    logits = torch.eye(3)[torch.tensor([0, 0, 1, 1, 2, 0])] * 9
    block = evaluate.figures(logits, torch.tensor([0, 0, 0, 1, 2, -1]), ["a", "b", "c"])
    assert block["n"] == 5 and block["support"] == [3, 1, 1]
    assert block["confusion"] == [[2, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert block["accuracy"] == 0.8 and block["recall"] == [0.6667, 1.0, 1.0]
    assert block["macroF1"] == pytest.approx((0.8 + 2 / 3 + 1) / 3, abs=1e-4)
