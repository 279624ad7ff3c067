"""Weights of our net for a wider one that answers the same (Net2Net: Chen, Goodfellow, Shlens 2016).

A new channel copies one that is there, and what reads both takes half of each. Copies would stay twins for ever, so
their weights get a little noise.
"""

import torch

import augment

NOISE = 0.05  # of the standard deviation of a layer's weights
NORM = ("weight", "bias", "running_mean", "running_var")


def layers(modules):
    """Convolutions of `mien_net.MienNet`: name, the normalisation that follows, and the channels it reads and writes."""
    yield "stem.0", "stem.1", "image", "first"
    yield "stem.3", "stem.4", "first", "second"
    before = "second"
    for i in range(modules):
        inside, after = f"inside {i}", f"after {i}"
        yield f"trunk.{i}.main.0", f"trunk.{i}.main.1", before, inside
        yield f"trunk.{i}.main.3", f"trunk.{i}.main.4", inside, after
        yield f"trunk.{i}.shortcut.0", f"trunk.{i}.shortcut.1", before, after
        before = after
    yield "head", None, before, "classes"


def copies(had, wanted, gen):
    """Which of the channels that are there each channel of the wider layer copies; the first ones are themselves."""
    if wanted < had:
        raise ValueError(f"Cannot widen {had} channels to {wanted}")
    return torch.cat([torch.arange(had), torch.randint(had, (wanted - had,), generator=gen)])


def widen(stored, net, seed=1, noise=NOISE):
    """A state dict for `net`, a MienNet at least as wide as the one whose weights are `stored`."""
    wide, gen = net.state_dict(), augment.generator(seed)
    of = {"image": torch.arange(1)}
    for conv, norm, reads, writes in layers(len(net.trunk)):
        kernel = stored[f"{conv}.weight"]
        if writes not in of:
            of[writes] = copies(len(kernel), len(wide[f"{conv}.weight"]), gen)
        shares = torch.bincount(of[reads])[of[reads]]
        weight = kernel[of[writes]][:, of[reads]] / shares.view(1, -1, 1, 1)
        new = weight[len(kernel) :]
        new += noise * weight.std() * torch.randn(new.shape, generator=gen)
        wide[f"{conv}.weight"] = weight
        for name in [f"{norm}.{part}" for part in NORM] if norm else [f"{conv}.bias"]:
            wide[name] = stored[name][of[writes]]
    return wide
