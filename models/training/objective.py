"""What a training step minimises. A network file may bring its own `Objective` with these same methods.

Its keyword arguments, and those of the file's `build`, are the settings that `train.py --set name=value` reaches.
"""


class Objective:
    """The task's own loss of the network's outputs."""

    def __init__(self, net, data):
        self.net, self.data = net, data

    def loss(self, inputs, index, epoch):
        """The loss of one batch, the images `index` of the data; epochs count from 0."""
        return self.data.loss(on_cpu(self.net(inputs)), index)

    def step(self):
        """What follows the optimiser's step."""

    def report(self):
        """Figures of the epoch that ends, for the log; the next one starts from nothing."""
        return {}

    def state(self):
        """What a resumed run must know beside the weights."""
        return {}

    def restore(self, state):
        """Takes up what `state` gave."""


class Spread:
    """Mean and standard deviation of all numbers seen since the last report."""

    def __init__(self):
        self.count, self.total, self.squares = 0, 0.0, 0.0

    def add(self, values):
        values = values.detach().double()
        self.count += values.numel()
        self.total += values.sum().item()
        self.squares += values.square().sum().item()

    def report(self, name):
        """`{name: mean, name + "Spread": deviation}`; empty where nothing was seen."""
        count, total, squares = self.count, self.total, self.squares
        self.__init__()
        if count == 0:
            return {}
        mean = total / count
        return {name: round(mean, 4), f"{name}Spread": round(max(0.0, squares / count - mean**2) ** 0.5, 4)}

    def state(self):
        return [self.count, self.total, self.squares]

    def restore(self, state):
        self.count, self.total, self.squares = state


def on_cpu(outputs):
    """Outputs where the labels are, in fp32; a network on a GPU hands back little."""
    return tuple(map(on_cpu, outputs)) if isinstance(outputs, tuple) else outputs.cpu().float()
