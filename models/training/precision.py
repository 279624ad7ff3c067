"""What a graph's change of precision does to its labels, accuracy and scores, on valid."""

import evaluate


def compare(before, after, task, temperature, name):
    """What a change to the precision called `name` does; logits `[N, classes]` of all heads, before and after."""
    report, served = {"n": len(before), "accuracy": []}, next(iter(evaluate.slices(task.HEADS).values()))
    for output, columns in evaluate.slices(task.HEADS).items():
        truth = getattr(task, task.HEADS[output][2])
        known = truth >= 0
        shares = [
            (some[known][:, columns].argmax(1) == truth[known]).double().mean().item() for some in (before, after)
        ]
        report["accuracy"].append({"head": output, "fp32": round(shares[0], 4), name: round(shares[1], 4)})
    labels = [some[:, served].argmax(1) for some in (before, after)]
    scores = [(some[:, served].double() / temperature).softmax(1) for some in (before, after)]
    apart = (scores[0] - scores[1]).abs().max(1).values
    report["sameLabel"] = round((labels[0] == labels[1]).double().mean().item(), 4)
    report["scoresApart"] = {"median": round(apart.median().item(), 4), "p99": round(apart.quantile(0.99).item(), 4)}
    return report
