"""Networks that answer every augmented batch while another one learns from it.

Where `teach.py` asks once per tile, tutors see the very picture that the learner sees, as it was turned, cut and erased, so
that they cannot answer from memory (Beyer et al. 2022, "Knowledge distillation: a good teacher is patient and
consistent"). One tutor answers a step, on one of the views that `teach.py` averages, each in its turn: cross-entropy is
linear in its target, so in the mean this is the answer of all tutors on all views at a small part of the cost.
"""

import itertools

import torch

import augment
import objective
import task_expression
import teachers


class Tutors:
    def __init__(self, names, runs, device="cpu"):
        """Names of runs in the folder `runs` or of networks in teachers/, whose input is as large as the learner's."""
        nets = [self.net(name, runs).to(device) for name in names]
        self.turns = list(itertools.product(nets, augment.VIEWS))

    @staticmethod
    def net(name, runs):
        if found := teachers.load(name, runs):
            return found[0]
        raise FileNotFoundError(f"Cannot find {name}: name a run, or a network in {teachers.FOLDER.name}/")

    @torch.no_grad()
    def answers(self, inputs, step):
        """Probabilities `[B, 15]`, each head summing to one, for inputs `[B, 1, size, size]` as a network takes them."""
        net, view = self.turns[step % len(self.turns)]
        outputs = net(augment.view(inputs, *view))
        return task_expression.probabilities(objective.on_cpu(task_expression.Expression.predict(outputs)))
