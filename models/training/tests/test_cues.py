"""What tells that an answer is wrong, and which labels are doubted, on cases whose answer is known."""

import csv

import numpy as np
import pytest
import torch

import evaluate_cues
import prepare
import relabel_report


def test_auroc_by_hand():
    wrong = np.array([True, False, True, False, False])
    assert evaluate_cues.auroc(np.array([5.0, 1, 4, 2, 3]), wrong) == 1
    assert evaluate_cues.auroc(np.array([1.0, 5, 2, 4, 3]), wrong) == 0
    # Of six pairs: 3 > 1, 3 = 3, 3 > 2, 2 > 1, 2 < 3, 2 = 2.
    assert evaluate_cues.auroc(np.array([3.0, 1, 2, 3, 2]), wrong) == pytest.approx((3 + 2 * 0.5) / 6)


def test_lead_tells_a_better_cue_from_an_equal_one():
    rng = np.random.default_rng(1)
    wrong = rng.random(600) < 0.2
    good, poor = wrong + rng.normal(0, 0.5, 600), wrong + rng.normal(0, 3, 600)
    low, high = evaluate_cues.lead(good, poor, wrong)
    assert 0 < low < high
    assert evaluate_cues.lead(good, good, wrong) == [0, 0]


def test_measure_puts_max_softmax_first_and_follows_the_votes():
    votes = np.array([[10.0, 0], [8, 2], [6, 4], [5, 5], [0, 0]])
    doubt = np.array([0.1, 0.2, 0.3, 0.4, 0.9])
    known = np.array([True, True, True, True, False])
    wrong = np.array([False, False, True, True])
    rows = evaluate_cues.measure({"max-softmax": doubt, "alpha": -doubt}, wrong, known, votes)
    assert [row["auroc"] for row in rows] == [1, 0]
    assert rows[0]["voteEntropyCorrelation"] == pytest.approx(1) and rows[1]["voteEntropyCorrelation"] == pytest.approx(
        -1
    )
    assert rows[0]["againstMaxSoftmax"] == [0, 0] and rows[1]["againstMaxSoftmax"] == [-1, -1]


def test_relabel_report_lists_the_doubted_and_counts_the_edits(trainer, tmp_path):
    trainer("scn", "cured", "--epochs", "1", "--set", "pool=true", "--set", "relabel=1", "--set", "delta2=0")
    args = type("Args", (), dict(run="cured", runs=tmp_path, data=prepare.DATA, limit=None, delta2=-1.0))
    relabel_report.main(args)
    with open(tmp_path / "cured" / "relabel_report.csv") as file:
        rows = list(csv.DictReader(file))
    arrays = prepare.load("fer_train")
    assert sum(row["head"] == "ferplus" for row in rows) == 24  # a delta below zero doubts every label
    assert sum(row["head"] == "fer2013" for row in rows) == (arrays["fer2013"] >= 0).sum()
    gaps = [float(row["pProposed"]) - float(row["pGiven"]) for row in rows]
    assert gaps == sorted(gaps, reverse=True)
    for row in rows:
        if row["head"] == "ferplus":
            assert row["votes"] == f"{row['given']}:10"
    state = torch.load(tmp_path / "cured" / "state.pt", weights_only=True)
    assert sum(int(row["edited"]) for row in rows) == len(state["objective"]["edits"]) > 0


def test_relabel_report_is_for_scn_only(trainer, tmp_path):
    trainer("mini_xception", "other", "--epochs", "1")
    with pytest.raises(ValueError, match="network is mini_xception, not scn"):
        relabel_report.main(type("Args", (), dict(run="other", runs=tmp_path)))
