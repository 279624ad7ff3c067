"""Calibration of scores: one temperature, its error, and split-conformal label sets.

What is served is fitted on all of valid. Its figures come from halves of it: fitted on one, measured on the other.

Logits are `[N, K]`, labels `[N]` class indices, probabilities `[N, K]`. The temperature is Guo et al. 2017
(arXiv 1706.04599); the sets are LAC, the least ambiguous classifier of Sadinle et al. 2019 (arXiv 1609.00451).
"""

import math

import torch
import torch.nn.functional as F

COVERAGES = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99]
REPORTED = [0.8, 0.9, 0.95]
HALVINGS = 10  # seeds 1 and up, each both ways


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
    """A manifest entry's `calibration`: temperature and thresholds, and what such a fit holds on faces it has not seen.

    One half measured by the other is luck by a point or two, so `measured` tells mean and deviation over many halvings,
    each both ways.
    """
    logits = logits.double()
    temperature, thresholds = fit(logits, labels)
    cut = [halves(labels, seed) for seed in range(1, HALVINGS + 1)]
    rounds = [
        measure(logits[held], labels[held], *fit(logits[fitted], labels[fitted]))
        for a, b in cut
        for fitted, held in ((a, b), (b, a))
    ]
    each = lambda values: torch.tensor(list(values), dtype=torch.float64)
    errors = each(one["ece"] for one in rounds)
    conformal = []
    for rows in zip(*(one["conformal"] for one in rounds)):
        held = each(row["coverage"] for row in rows)
        sizes, empty = (each(row[key] for row in rows).mean().item() for key in ("meanSetSize", "empty"))
        spread = {"coverage": held.mean().item(), "deviation": held.std().item()}
        conformal.append({"asked": rows[0]["asked"], **spread, "meanSetSize": sizes, "empty": empty})
    return {
        "temperature": temperature,
        "conformal": {"method": "lac", "thresholds": thresholds},
        "measured": rounded(
            {
                "n": len(labels),
                "halvings": HALVINGS,
                "eceUncalibrated": ece(logits.softmax(1), labels),
                "ece": errors.mean().item(),
                "eceDeviation": errors.std().item(),
                "conformal": conformal,
            }
        ),
    }


def served(logits, task):
    """Logits and labels of the head that is served, of the images that have a label; for `calibrate`."""
    _, labels, truth = next(iter(task.HEADS.values()))
    truth = getattr(task, truth)
    return logits[truth >= 0, : len(labels)], truth[truth >= 0]


def rounded(value):
    """The same JSON value with its floats at four decimals."""
    if isinstance(value, dict):
        return {key: rounded(v) for key, v in value.items()}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return round(value, 4) if isinstance(value, float) else value
