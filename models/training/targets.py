"""FERPlus and FER2013 targets from the annotators' votes.

FERPlus rules follow the data set's own reader (Barsoum et al. 2016): single votes are
outliers, the remaining votes are turned into one label or into a distribution, and images
whose strongest class is `unknown` or `not_face` are dropped.
"""

import numpy as np

EXPRESSIONS = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"]
VOTES = EXPRESSIONS + ["unknown", "not_face"]
FER2013 = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
# The words the FER2013 CSV uses, in that data set's own class order.
FER2013_WORDS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]


def clean(votes):
    """Votes `[N, 10]` with every count of one removed, as the original reader does."""
    votes = np.asarray(votes, dtype=np.int64)
    return np.where(votes <= 1, 0, votes)


def majority(votes):
    """Index of the class holding more than half the cleaned votes, else -1. Shape `[N]`."""
    votes = clean(votes)
    best = votes.argmax(1)
    top = votes[np.arange(len(votes)), best]
    keep = (top > votes.sum(1) / 2) & (best < len(EXPRESSIONS))
    return np.where(keep, best, -1)


def distribution(votes):
    """Target distributions `[N, 8]` (rows of zeros where dropped), "probability" mode.

    Classes are taken by decreasing count, ties together, until three quarters of the votes are
    covered or three classes are taken; `unknown`/`not_face` end the taking and are left out when
    expressions came first. An image is dropped when at most half its votes are covered, when ties
    push it past three classes, or when its strongest class is no expression.
    """
    votes = clean(votes)
    out = np.zeros((len(votes), len(EXPRESSIONS)), dtype=np.float32)
    for i, row in enumerate(votes):
        total, covered, count = row.sum(), 0, 0
        taken = np.zeros(len(VOTES), dtype=np.int64)
        for value in sorted({v for v in row if v > 0}, reverse=True):
            tied = np.flatnonzero(row == value)
            emotions = tied[tied < len(EXPRESSIONS)]
            taken[emotions] = value
            count += len(emotions)
            if len(emotions) < len(tied):
                if count == 0:
                    taken[tied] = value
                break
            covered += value * len(tied)
            if covered >= 0.75 * total or count >= 3:
                break
        if taken.sum() <= 0.5 * total or count > 3 or taken.argmax() >= len(EXPRESSIONS):
            continue
        kept = taken[: len(EXPRESSIONS)].astype(np.float32)
        out[i] = kept / kept.sum()
    return out


def soft(votes):
    """All cleaned expression votes renormalised, `[N, 8]`; zeros where no expression leads.

    Keeps more of the annotators' disagreement than `distribution`, which trims the tail.
    """
    votes = clean(votes)
    out = votes[:, : len(EXPRESSIONS)].astype(np.float32)
    out[votes.argmax(1) >= len(EXPRESSIONS)] = 0
    total = out.sum(1, keepdims=True)
    return np.divide(out, total, out=np.zeros_like(out), where=total > 0)


def fer2013(words):
    """FER2013 class indices `[N]`, -1 where the CSV is blank."""
    index = {word: i for i, word in enumerate(FER2013_WORDS)}
    return np.array([index.get(word, -1) for word in words], dtype=np.int64)
