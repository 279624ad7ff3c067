"""Do a model's heatmaps show what its answer rests on? Two checks of each map, into the manifest's `heatmapChecks`.

    python check_heatmaps.py expression_mini_xception

Masking: what the map calls its top quarter, blurred away, must lower the winning logit more than random masks of the same
form and area. Randomisation: maps of the same network with random weights must look different (rank correlation below
0.5); a map that does not is a picture of the face, not of the model (Adebayo et al. 2018, arXiv 1810.03292). Maps of single
pixels are also checked as seen from afar, averaged over 8 x 8 patches. A method whose map fails is taken off the entry's
`explanations`, so that nobody is shown it; its figures stay. Of a model in int8 the maps checked are those of its float
weights, as they are kept beside it.
"""

import argparse
import importlib
import json
import math
import tempfile
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from onnx import numpy_helper

import backward
import export
import grad_cam
import half
import manifest
import prepare
import train
import weights
from calibration import rounded

TILES = 200
MASKS = 20
NETWORKS = 5
QUARTER = 0.25
SEED = 1
FLIPS = 9999
PATCHES = 8
P, CORRELATION = 0.01, 0.5


class Model:
    """An exported model's logits and maps; torch tensors in and out."""

    def __init__(self, model):
        self.model, self.plain = model, self.session(model)

    @cached_property
    def guided(self):
        return self.session(backward.differentiate(self.model))

    @cached_property
    def cam(self):
        return self.session(grad_cam.build(self.model))

    @staticmethod
    def session(model):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])

    def logits(self, images):
        return torch.from_numpy(self.plain.run(["logits"], {"image": images.numpy()})[0])

    def evidence(self, images, labels):
        maps = torch.from_numpy(self.plain.run(["evidence"], {"image": images.numpy()})[0])
        return maps[torch.arange(len(maps)), labels]

    def saliency(self, images, labels):
        """The saliency's size; its sign tells lighter from darker, not for from against."""
        target = F.one_hot(labels, self.guided.get_inputs()[1].shape[1]).float()
        feeds = {"image": images.numpy(), "target": target.numpy()}
        return torch.from_numpy(self.guided.run(["saliency"], feeds)[0])[:, 0].abs()

    def attention(self, images, labels):
        """Of DACL what the attended features say of the class; else how much each token counts, of no class."""
        if "attentive_evidence" in [output.name for output in self.plain.get_outputs()]:
            maps = torch.from_numpy(self.plain.run(["attentive_evidence"], {"image": images.numpy()})[0])
            return maps[torch.arange(len(maps)), labels]
        return torch.from_numpy(self.plain.run(["attention"], {"image": images.numpy()})[0])[:, 0]

    def grad_cam(self, images, labels):
        (features,) = self.plain.run(["features"], {"image": images.numpy()})
        target = F.one_hot(labels, self.cam.get_inputs()[1].shape[1]).float()
        return torch.from_numpy(self.cam.run(["map"], {"features": features, "target": target.numpy()})[0])[:, 0]


MAPS = {
    "evidence": Model.evidence,
    "guidedBackprop": Model.saliency,
    "attention": Model.attention,
    "gradCam": Model.grad_cam,
}


def patches(maps):
    return F.avg_pool2d(maps[:, None], maps.shape[2] // PATCHES)[:, 0]


def float_graph(entry):
    """A model's graph in float with batch normalisation folded; of int8 from its variant or its stored weights."""
    if entry["precision"] != "int8":
        return half.whole(onnx.load(manifest.MODELS / entry["file"]))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "float.onnx"
        if entry["variants"]:
            return folded(half.whole(onnx.load(manifest.MODELS / entry["variants"][0]["file"])), file)
        stored = manifest.MODELS / entry["weights"]["file"]
        module = importlib.import_module(weights.network(stored))
        net = module.build()
        weights.start(net, weights.load(stored))
        return export.export(net, train.task(module.TASK).HEADS, module.SIZE, file)


def folded(model, file):
    """The same graph as ONNX Runtime simplifies it: normalisations and constants folded, standard operators only."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(file)
    options.log_severity_level = 3  # it warns of every optimised file that is written
    onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return onnx.load(file)


def with_random_weights(model, seed):
    """The same graph with He-normal weights and zero biases: a network before training, its residual paths and shortcuts of
    like size, as batch normalisation keeps them. (Under torch's smaller default shortcuts prevail, and maps differ more.)
    Single numbers stay: an attention whose scale is zero would be flat.
    """
    gen, fresh = np.random.default_rng(seed), onnx.ModelProto()
    fresh.CopyFrom(model)
    for weight in fresh.graph.initializer:
        if weight.data_type == onnx.TensorProto.FLOAT and weight.dims:
            shape = tuple(weight.dims)
            scale = math.sqrt(2 / math.prod(shape[1:])) if len(shape) > 1 else 0
            weight.CopyFrom(
                numpy_helper.from_array((gen.standard_normal(shape) * scale).astype(np.float32), weight.name)
            )
    return fresh


def top_quarter(maps):
    """Masks `[N, h, w]` of each map's largest quarter; of equal values the first."""
    flat = maps.flatten(1)
    first = flat.argsort(dim=1, descending=True, stable=True)[:, : round(QUARTER * flat.shape[1])]
    return torch.zeros_like(flat).scatter(1, first, 1).view_as(maps)


def random_quarter(shape, gen):
    return top_quarter(torch.rand(shape, generator=gen))


def blurred(images):
    """What takes a masked pixel's place: a Gaussian of an eighth of the side about it, edges reflected."""
    sigma = images.shape[3] / 8
    reach = images.shape[3] // 2 - 1
    bell = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    bell = bell / bell.sum()
    padded = F.pad(images, [reach] * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, bell.view(1, 1, 1, -1)), bell.view(1, 1, -1, 1))


def masked(images, fill, masks):
    """The images with `fill` where the masks, enlarged by whole cells, are one."""
    masks = F.interpolate(masks[:, None], images.shape[2:], mode="nearest")
    return torch.where(masks > 0, fill, images)


def paired_p(differences, seed=SEED):
    """One-sided p of a mean above zero: the share of random sign flips whose mean is at least as large."""
    gen = torch.Generator().manual_seed(seed)
    signs = torch.randint(0, 2, (FLIPS, len(differences)), generator=gen).double() * 2 - 1
    as_large = (signs @ differences.double() >= differences.double().sum() - 1e-9).sum().item()
    return (1 + as_large) / (1 + FLIPS)


def ranks(values):
    """Ranks along the last axis, from 0; equal values share their mean."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts + 1) / 2)[place]


def spearman(a, b):
    """Mean over images of the maps' rank correlation; 0 where a map is constant."""
    total = 0.0
    for one, other in zip(a.flatten(1).numpy(), b.flatten(1).numpy()):
        x, y = ranks(one), ranks(other)
        x, y = x - x.mean(), y - y.mean()
        norm = math.sqrt((x @ x) * (y @ y))
        total += (x @ y) / norm if norm else 0.0
    return total / len(a)


def masking(model, images, labels, maps):
    """Mean drops of the winning logit, and the p of the map's exceeding the random masks'."""
    fill, gen = blurred(images), torch.Generator().manual_seed(SEED)
    chosen = torch.arange(len(images)), labels
    whole = model.logits(images)[chosen]

    def drop(masks):
        return whole - model.logits(masked(images, fill, masks))[chosen]

    own = drop(top_quarter(maps))
    other = drop(top_quarter(maps.roll(1, 0)))
    chance = torch.stack([drop(random_quarter(maps.shape, gen)) for _ in range(MASKS)]).mean(0)
    return {
        "drop": own.mean().item(),
        "random": chance.mean().item(),
        "otherFace": other.mean().item(),
        "p": paired_p(own - chance),
        "pOtherFace": paired_p(own - other),
    }


def check(model, images, methods):
    """One row of figures per map: each method's, and where it has pixels those of its patches."""
    real = Model(model)
    random = [Model(with_random_weights(model, seed)) for seed in range(NETWORKS)]
    labels = real.logits(images).argmax(1)
    rows = []
    for method in methods:
        maps, *others = (MAPS[method](each, images, labels) for each in (real, *random))
        rows.append(figures(method, real, images, labels, maps, others))
        if maps.shape[2] > PATCHES:
            coarse = patches(maps), [patches(other) for other in others]
            rows.append(figures(f"{method}, {PATCHES}x{PATCHES} patches", real, images, labels, *coarse))
    return rows


def figures(name, real, images, labels, maps, others):
    drops = masking(real, images, labels, maps)
    alike = [spearman(maps, other) for other in others]
    row = {
        "map": name,
        "cells": list(maps.shape[1:]),
        **drops,
        "correlation": sum(alike) / len(alike),
        "least": min(alike),
        "most": max(alike),
    }
    return rounded(row) | {"passes": bool(drops["p"] < P and row["correlation"] < CORRELATION)}


def offered(methods, rows):
    """The methods that may be served: all but those whose map fails."""
    failed = {row["map"] for row in rows if not row["passes"]}
    return [method for method in methods if method not in failed]


def main(args):
    entry = manifest.entry(args.name)
    Task = train.task(entry["task"])
    task = Task("valid", entry["inputs"][0]["shape"][2], args.data)
    data, _, truth = Task.HEADS["logits"]
    known = (getattr(task, truth) >= 0).nonzero()[:, 0]
    order = torch.randperm(len(known), generator=torch.Generator().manual_seed(SEED))
    images = task.batch(known[order[:TILES]])
    named = [output["explains"] for output in entry["outputs"] if "explains" in output]
    methods = list(dict.fromkeys([*entry["explanations"], *named, *entry.get("graphs", {})]))
    checks = {
        "data": data,
        "n": len(images),
        "masks": MASKS,
        "networks": NETWORKS,
        "command": f"python models/training/check_heatmaps.py {args.name}",
        "maps": check(float_graph(entry), images, methods),
    }
    explanations = offered(methods, checks["maps"])
    manifest.update(entry | {"explanations": explanations, "heatmapChecks": checks})
    print(json.dumps(checks, indent=2))
    for method in set(methods) - set(explanations):
        print(f"{method} fails and is not offered")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="the model's name in the manifest")
    parser.add_argument("--data", type=Path, default=prepare.DATA)
    main(parser.parse_args())
