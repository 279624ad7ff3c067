"""Networks that teach others: runs, those kept in teachers/, or exported models.

    python teachers.py labels_a labels_b    # keeps two runs: teachers/<run>.safetensors, averaged weights in half precision

Nothing of these is served: they are larger, or learnt from labels alone, and are here so that whoever trains a student needs
no day of training first.
"""

import argparse
from pathlib import Path

import torch

import augment
import evaluate
import manifest
import train
import weights

FOLDER = Path(__file__).parent / "teachers"


def load(name, runs=train.RUNS):
    """The network of a run, kept here, or of an exported model's weights, ready to answer; and its file as a module.

    None where there is none of these.
    """
    if (runs / name / "state.pt").exists():
        net, module, _ = evaluate.load_run(runs / name)
        return ready(net, module)
    for file in (FOLDER / f"{name}.safetensors", manifest.MODELS / name / weights.NAME):
        if file.exists():
            return ready(*weights.build(file))
    return None


def ready(net, module):
    return net.eval().to(memory_format=torch.channels_last), module


def answers(name, runs=train.RUNS):
    """A function from images in 0..1 to logits `[B, classes]`, the side that these take, and the task's class.

    Raises KeyError where no run, kept network or exported model has the name.
    """
    if found := load(name, runs):
        net, module = found
        Task = train.task(module.TASK)
        return lambda images: Task.predict(outputs(net, images)), module.SIZE, Task
    entry = manifest.entry(name)
    Task = train.task(entry["task"])
    return lambda images: evaluate.run_graph(entry, images, Task.HEADS), entry["inputs"][0]["shape"][2], Task


@torch.no_grad()
def outputs(net, images, batch=256):
    parts = [net(augment.normalise(some).to(memory_format=torch.channels_last)) for some in images.split(batch)]
    return torch.cat(parts)


def keep(name, runs=train.RUNS, folder=FOLDER):
    """Write a run's averaged weights as `folder/<name>.safetensors`."""
    _, module, state = evaluate.load_run(runs / name)
    folder.mkdir(exist_ok=True)
    settings = train.of_build(module, state["config"].get("settings"))
    weights.save(state["ema"], module.__name__, folder / f"{name}.safetensors", settings)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="run")
    for run in parser.parse_args().runs:
        keep(run)
