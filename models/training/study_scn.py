"""Does SCN withstand wrong labels? A plain network against SCN with 0, 10, 20 and 30 % of the labels made wrong.

    python study_scn.py                                    # resumable, arm by arm -> studies/scn.json, scn.md
    python study_scn.py --count 640 --epochs 1 --seeds 1 --out /somewhere --runs /somewhere     # a dry run

Noise is uniform: any other class, each as likely, in both heads' labels. delta1 fixed, and at 20 % learnable; gamma is
swept once, at 20 % and with a seed of its own. Relabelling starts when half the epochs are over; the paper's rule.
"""

import study
from card import table

NOISES = (0.0, 0.1, 0.2, 0.3)
GAMMAS = (0.25, 0.5, 0.75)
SWEEP_NOISE = 0.2
LEARNT = (0.2,)  # noises at which delta1 is learnt too
METHODS = {"baseline": None, "SCN, delta1 fixed": {"learn": False}, "SCN, delta1 learnt": {"learn": True}}


def arm(method, noise, seed, epochs, gamma=0.5):
    name = "_".join(method.lower().replace(",", "").split())
    label = f"{name}_noise{noise:g}_gamma{gamma:g}_seed{seed}"
    if METHODS[method] is None:
        return study.Arm(label, "resnet18", seed, {}, noise)
    settings = METHODS[method] | {"gamma": gamma, "relabel": epochs // 2 + 1}
    return study.Arm(label, "scn", seed, settings, noise)


def cured(data, state):
    """By head: how many labels were made wrong, how many of them ended right, how many changed, and were right before."""
    if "edits" not in state["objective"]:
        return {}
    figures = {}
    for head, name in enumerate(study.LABELS):
        given, true, final = data.given[name], data.true[name], data.given[name].clone()
        for _, which, image, _, after in state["objective"]["edits"].tolist():
            if which == head:
                final[image] = after
        wrong, changed = given != true, final != given
        figures[name] = {
            "wrong": int(wrong.sum()),
            "cured": int((wrong & (final == true)).sum()),
            "changed": int(changed.sum()),
            "spoilt": int((changed & ~wrong).sum()),
        }
    return {"labels": figures}


def main(args):
    do = lambda one: study.run("scn", one, args, cured)
    baseline, fixed, learnt = METHODS
    sweep = {gamma: do(arm(fixed, SWEEP_NOISE, study.SWEEP_SEED, args.epochs, gamma)) for gamma in GAMMAS}
    gamma = max(sweep, key=lambda tried: study.both(sweep[tried]))
    results, sections = {}, []
    for noise in NOISES:
        tried = [fixed, learnt] if noise in LEARNT else [fixed]
        named = {
            method: [do(arm(method, noise, seed, args.epochs, gamma if METHODS[method] else 0)) for seed in args.seeds]
            for method in [baseline, *tried]
        }
        results[noise] = named
        lines = [study.verdict(method, "the baseline", named[method], named[baseline]) for method in tried]
        lines += [labels(method, named[method]) for method in tried]
        sections.append((f"{noise:.0%} wrong labels", f"{study.rows(named)}\n\n" + "\n".join(f"- {l}" for l in lines)))
    swept = [[f"{g:g}", *(study.spread([result[key]]) for key in study.LABELS)] for g, result in sweep.items()]
    about = f"{SWEEP_NOISE:.0%} wrong labels, delta1 fixed, seed {study.SWEEP_SEED}; chosen: {gamma:g}."
    sections.append(("Gamma", f"{about}\n\n{table(['gamma', *study.LABELS.values()], swept)}"))
    study.write("scn", args, {"sweep": sweep, "chosen": gamma, "noise": results}, sections)


def labels(method, results):
    """What relabelling did to FERPlus labels, all seeds together."""
    total = {key: sum(r["labels"]["ferplus"][key] for r in results) for key in ("wrong", "cured", "changed", "spoilt")}
    return (
        f"{method}, relabelling over all seeds (FERPlus): {total['cured']:,} of {total['wrong']:,} wrong labels made "
        f"right, {total['changed']:,} changed, {total['spoilt']:,} of them right before."
    )


if __name__ == "__main__":
    main(study.parse(__doc__.splitlines()[0]))
