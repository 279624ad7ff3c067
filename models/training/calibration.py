"""Calibration of scores: one temperature, its error, and split-conformal label sets.

Logits are `[N, K]`, labels `[N]` class indices, probabilities `[N, K]`. The temperature is Guo et al. 2017
(arXiv 1706.04599); the sets are LAC, the least ambiguous classifier of Sadinle et al. 2019 (arXiv 1609.00451).
"""

import math

import torch
import torch.nn.functional as F

COVERAGES = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99]
REPORTED = [0.8, 0.9, 0.95]
SEED = 1
REPEATS = 20


def halves(labels, seed):
    """Indices cut in two at random, each class evenly: what is fitted on, and what is reported on."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    order = order[labels[order].argsort(stable=True)]
    return order[::2], order[1::2]


def fit_temperature(logits, labels):
    """The temperature that minimises the negative log-likelihood of `logits / temperature`."""
    logits, log_temperature = logits.double(), torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([log_temperature], max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        loss = F.cross_entropy(logits / log_temperature.exp(), labels)
        loss.backward()
        return loss

    optimiser.step(closure)
    return log_temperature.exp().item()


def ece(probabilities, labels, bins=15):
    """Expected calibration error of the top class over equal-width bins of confidence."""
    confidence, predicted = probabilities.max(1)
    correct = (predicted == labels).double()
    which = (confidence * bins).long().clamp(max=bins - 1)
    error = torch.zeros(bins, dtype=torch.float64).index_add_(0, which, correct - confidence.double())
    return (error.abs().sum() / len(labels)).item()


def lac_threshold(probabilities, labels, coverage):
    """Threshold on `1 - p(true class)` that holds the truth at the rate `coverage` on new faces."""
    scores = (1 - probabilities.gather(1, labels[:, None])[:, 0]).sort().values
    rank = math.ceil((len(scores) + 1) * coverage)
    return scores[min(rank, len(scores)) - 1].item()


def label_sets(probabilities, threshold):
    """Membership `[N, K]`: every class whose `1 - p` is within the threshold. May be empty."""
    return 1 - probabilities <= threshold


def fit(logits, labels):
    """The temperature and the LAC thresholds by coverage, rounded as they are served."""
    temperature = round(fit_temperature(logits, labels), 4)
    scores = (logits / temperature).softmax(1)
    return temperature, {f"{c:g}": round(lac_threshold(scores, labels, c), 5) for c in COVERAGES}


def measure(logits, labels, temperature, thresholds):
    """Calibration error and, per coverage asked for, what the sets hold and how large they are."""
    scores = (logits / temperature).softmax(1)
    rows = []
    for asked in REPORTED:
        sets = label_sets(scores, thresholds[f"{asked:g}"])
        sizes = sets.sum(1)
        holds = sets.gather(1, labels[:, None]).double().mean().item()
        rows.append(
            {
                "asked": asked,
                "coverage": holds,
                "meanSetSize": sizes.double().mean().item(),
                "empty": (sizes == 0).double().mean().item(),
            }
        )
    return {"ece": ece(scores, labels), "conformal": rows}


def calibrate(logits, labels):
    """A manifest entry's `calibration`: fitted on one half, measured on the other.

    One halving is luck by a point or two, so `repeated` tells mean and deviation over further ones.
    """
    logits = logits.double()
    fitted, held = halves(labels, SEED)
    temperature, thresholds = fit(logits[fitted], labels[fitted])
    measured = measure(logits[held], labels[held], temperature, thresholds)
    others = []
    for seed in range(SEED + 1, SEED + 1 + REPEATS):
        a, b = halves(labels, seed)
        others.append(measure(logits[b], labels[b], *fit(logits[a], labels[a])))
    errors = torch.tensor([o["ece"] for o in others])
    coverage = torch.tensor([[row["coverage"] for row in o["conformal"]] for o in others])
    for row, mean, deviation in zip(measured["conformal"], coverage.mean(0).tolist(), coverage.std(0).tolist()):
        row["repeated"] = [mean, deviation]
    return {
        "temperature": temperature,
        "conformal": {"method": "lac", "thresholds": thresholds},
        "measured": rounded(
            {
                "fittedOn": len(fitted),
                "n": len(held),
                "repeats": REPEATS,
                "eceUncalibrated": ece(logits[held].softmax(1), labels[held]),
                "ece": measured["ece"],
                "eceRepeated": [errors.mean().item(), errors.std().item()],
                "conformal": measured["conformal"],
            }
        ),
    }


def rounded(value):
    """The same JSON value with its floats at four decimals."""
    if isinstance(value, dict):
        return {key: rounded(v) for key, v in value.items()}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return round(value, 4) if isinstance(value, float) else value
