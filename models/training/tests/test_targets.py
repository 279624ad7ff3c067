"""FERPlus and FER2013 target rules: hand cases, and the published counts where the data is present."""

import numpy as np
import pytest

import prepare
import targets


def votes(**counts):
    return [counts.get(name, 0) for name in targets.VOTES]


def vector(**shares):
    return [shares.get(name, 0) for name in targets.EXPRESSIONS]


def test_single_votes_are_outliers():
    assert targets.clean([votes(neutral=8, fear=1, unknown=1)]).tolist() == [votes(neutral=8)]


@pytest.mark.parametrize(
    ("row", "label"),
    [
        (votes(happiness=10), "happiness"),
        (votes(neutral=6, sadness=4), "neutral"),
        (votes(neutral=5, sadness=5), None),  # half is no majority
        (votes(anger=4, disgust=2, fear=1, surprise=1, sadness=1, contempt=1), "anger"),  # 4 of the 6 that remain
        (votes(unknown=6, neutral=4), None),
        (votes(not_face=10), None),
        (votes(neutral=5, unknown=3, not_face=2), None),  # unknown and not_face count in the sum
    ],
)
def test_majority(row, label):
    expected = -1 if label is None else targets.EXPRESSIONS.index(label)
    assert targets.majority([row]).tolist() == [expected]


@pytest.mark.parametrize(
    ("row", "shares"),
    [
        (votes(happiness=10), vector(happiness=1)),
        (votes(neutral=8, sadness=2), vector(neutral=1)),  # three quarters are covered by the first
        (votes(neutral=6, sadness=4), vector(neutral=0.6, sadness=0.4)),
        (votes(neutral=4, sadness=3, anger=3), vector(neutral=0.4, sadness=0.3, anger=0.3)),
        (votes(neutral=5, unknown=3, sadness=2), vector()),  # stops at unknown with half covered
        (votes(neutral=6, unknown=4), vector(neutral=1)),  # unknown is left out, expressions came first
        (votes(neutral=4, unknown=4, sadness=2), vector()),  # a tie with unknown: too little covered
        (votes(unknown=8, neutral=2), vector()),
        (votes(neutral=4, sadness=2, anger=2, fear=2), vector()),  # a tie makes four classes
    ],
)
def test_distribution(row, shares):
    np.testing.assert_allclose(targets.distribution([row])[0], shares, atol=1e-6)


def test_soft_keeps_the_tail_and_drops_what_is_no_expression():
    rows = [votes(neutral=5, sadness=3, unknown=2), votes(unknown=6, neutral=4), votes(neutral=9, fear=1)]
    expected = [vector(neutral=0.625, sadness=0.375), vector(), vector(neutral=1)]
    np.testing.assert_allclose(targets.soft(rows), expected, atol=1e-6)


def test_fer2013_words():
    assert targets.fer2013(["angry", "neutral", "", "happy"]).tolist() == [0, 6, -1, 3]
    assert [targets.FER2013[i] for i in (0, 3, 6)] == ["anger", "happiness", "neutral"]


MAJORITY = {
    "train": [8740, 7287, 3149, 3014, 2100, 119, 532, 119],
    "valid": [1182, 865, 415, 351, 287, 24, 62, 13],
}
PROBABILITY_TRAIN = [10122, 7503, 3524, 3430, 2407, 169, 641, 160]


@pytest.mark.parametrize("split", ["train", "valid"])
def test_counts_of_the_real_data(split):
    """The counts that the original reader's rules give, for the majority and the distribution targets."""
    file = prepare.DATA / "fer" / f"{split}.csv"
    if not file.exists():
        pytest.skip("the training data is not here")
    rows = [[int(row[name]) for name in targets.VOTES] for row in prepare.read_csv(file)]
    label = targets.majority(rows)
    assert np.bincount(label[label >= 0]).tolist() == MAJORITY[split]
    if split == "train":
        shares = targets.distribution(rows)
        assert np.bincount(shares[shares.sum(1) > 0].argmax(1)).tolist() == PROBABILITY_TRAIN
