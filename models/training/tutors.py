"""Networks that answer every augmented batch while another one learns from it.

Where `teach.py` asks once per tile, tutors see the very picture that the learner sees, as it was turned, cut and erased, so
that they cannot answer from memory (Beyer et al. 2022, "Knowledge distillation: a good teacher is patient and
consistent"). One tutor answers a step, as it is or mirrored, each in its turn: cross-entropy is linear in its target, so in
the mean this is the answer of all of them at a part of the cost.
"""

import torch

import evaluate
import objective
import task_expression


class Tutors:
    def __init__(self, names, runs, device="cpu"):
        """Runs by their names in the folder `runs`, of one input size with the learner."""
        nets = [evaluate.load_run(runs / name)[0] for name in names]
        self.nets = [net.to(device, memory_format=torch.channels_last) for net in nets]

    @torch.no_grad()
    def answers(self, inputs, step):
        """Probabilities `[B, 15]`, each head summing to one, for inputs `[B, 1, size, size]` as a network takes them."""
        turn, mirrored = step % len(self.nets), step // len(self.nets) % 2
        outputs = self.nets[turn](inputs.flip(3) if mirrored else inputs)
        return task_expression.probabilities(objective.on_cpu(task_expression.Expression.predict(outputs)))
