"""Averaged weights of a run in half precision, small enough to keep in git, to start further training from."""

import importlib
import json
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from safetensors import safe_open
from safetensors.torch import save as serialise

import half

NAME = "weights.safetensors"
SERVED = "net."  # what `export.Served` calls the network
COUNTER = "num_batches_tracked"  # torch counts batches and never uses the count here


def save(state, network, file, settings=None):
    """Write a state dict, running statistics included, as fp16, with the name of its network and the settings of its build."""
    narrow = {k: v.half().contiguous() if v.is_floating_point() else v.contiguous() for k, v in state.items()}
    lost = [k for k, v in narrow.items() if v.is_floating_point() and not v.isfinite().all()]
    assert not lost, f"Cannot keep {lost} in half precision: value out of range"
    metadata = {"network": network} | ({"settings": json.dumps(settings)} if settings else {})
    Path(file).write_bytes(serialise(narrow, metadata=metadata))


def save_whole(state, network, file):
    """Write a state dict as it is, by temporary name and rename."""
    partial = Path(file).with_suffix(".partial")
    partial.write_bytes(serialise({k: v.contiguous() for k, v in state.items()}, metadata={"network": network}))
    partial.replace(file)


def network(file):
    """The network that weights written here belong to."""
    with safe_open(file, "pt") as stored:
        return stored.metadata()["network"]


def build(file):
    """The network of weights written here with their settings, and its file as a module."""
    with safe_open(file, "pt") as stored:
        module = importlib.import_module(stored.metadata()["network"])
        net = module.build(**json.loads(stored.metadata().get("settings", "{}")))
    start(net, load(file))
    return net, module


def load(file):
    """State dict in fp32 from weights written here, from a graph that `export.py --variant` wrote, or a run's state.pt."""
    if Path(file).suffix == ".onnx":
        return of_graph(onnx.load(file))
    if Path(file).suffix != ".safetensors":
        return torch.load(file, weights_only=True, map_location="cpu")["ema"]
    with safe_open(file, "pt") as stored:
        state = {key: stored.get_tensor(key) for key in stored.keys()}
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def of_graph(model):
    """The weights that kept their names in an unfolded graph; what only training needs is not among them.

    Torch writes equal weights once (the biases of two normalisations whose outputs are added learn alike), and the others as
    copies of the first.
    """
    graph = half.whole(model).graph
    stored = {w.name: numpy_helper.to_array(w) for w in graph.initializer}
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in stored:
            stored[node.output[0]] = stored[node.input[0]]
    return {
        name.removeprefix(SERVED): torch.from_numpy(value.copy())
        for name, value in stored.items()
        if name.startswith(SERVED)
    }


def start(net, stored, fresh=()):
    """Put stored weights into a net. Parts named in `fresh` stay as they are where the file lacks them, or has another shape;
    with `fresh`, what the file has beyond is left out.

    Raises KeyError when any other weight is missing, or unknown to a net without `fresh`.
    """
    own = net.state_dict()
    fits = {key: value for key, value in stored.items() if key in own and value.shape == own[key].shape}
    missing = [key for key in own if key not in fits and not key.startswith(tuple(fresh)) and not key.endswith(COUNTER)]
    unknown = [] if fresh else [key for key in stored if key not in own]
    if missing or unknown:
        raise KeyError(f"Cannot start: missing {missing[:3]}, unknown {unknown[:3]}")
    net.load_state_dict(fits, strict=False)
