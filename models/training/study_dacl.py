"""Does DACL help? Softmax, centre loss and DACL over three seeds; lambda swept once for each of the two that have it.

python study_dacl.py                                   # resumable, arm by arm -> studies/dacl.json, dacl.md
python study_dacl.py --count 640 --epochs 1 --seeds 1 --out /somewhere --runs /somewhere    # a dry run
"""

import study
from card import table

LAMBDAS = (0.003, 0.01, 0.03)
METHODS = {"softmax": {"lam": 0}, "centre loss": {"attention": False}, "DACL": {"attention": True}}


def arm(method, seed, lam=None):
    settings = METHODS[method] | ({} if lam is None else {"lam": lam})
    name = "_".join([method.replace(" ", "_").lower(), *([] if lam is None else [f"{lam:g}"]), f"seed{seed}"])
    return study.Arm(name, "dacl", seed, settings)


def main(args):
    do = lambda one: study.run("dacl", one, args)
    sweep = {method: {lam: do(arm(method, study.SWEEP_SEED, lam)) for lam in LAMBDAS} for method in list(METHODS)[1:]}
    best = {method: max(tried, key=lambda lam: study.both(tried[lam])) for method, tried in sweep.items()}
    named = {method: [do(arm(method, seed, best.get(method))) for seed in args.seeds] for method in METHODS}
    swept = [
        [method, f"{lam:g}", *(study.spread([result[key]]) for key in study.LABELS), attention(result)]
        for method, tried in sweep.items()
        for lam, result in tried.items()
    ]
    sentences = [
        study.verdict("DACL", "softmax", named["DACL"], named["softmax"]),
        study.verdict("DACL", "centre loss", named["DACL"], named["centre loss"]),
        study.verdict("Centre loss", "softmax", named["centre loss"], named["softmax"]),
        f"Attention in the last epoch, mean ± spread: {', '.join(map(attention, named['DACL']))}.",
    ]
    chosen = ", ".join(f"{method} {lam:g}" for method, lam in best.items())
    sections = [
        ("Softmax, centre loss, DACL", f"{study.rows(named)}\n\n" + "\n".join(f"- {line}" for line in sentences)),
        (
            "Lambda",
            f"Seed {study.SWEEP_SEED}; chosen: {chosen}.\n\n"
            + table(["method", "lambda", *study.LABELS.values(), "attention"], swept),
        ),
    ]
    study.write("dacl", args, {"sweep": sweep, "chosen": best, "seeds": named}, sections)


def attention(result):
    return f"{result['attention']:.3f} ± {result['attentionSpread']:.3f}" if "attention" in result else ""


if __name__ == "__main__":
    main(study.parse(__doc__.splitlines()[0]))
