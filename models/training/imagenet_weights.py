"""MobileNetV1's ImageNet weights, as published, into torch: what PAtt-Lite starts from.

    python imagenet_weights.py            # -> cache/mobilenet_v1.safetensors
    python imagenet_weights.py --check    # and classify three pictures of scikit-image with it

The stock TF-slim graph lies in a source archive on PyPI (`nudity` 0.2.3, MIT by its metadata), which is fetched by hash and
only unpacked. TensorFlow is not needed: the graph is a protocol buffer, and what is wanted of it is its constants.
"""

import argparse
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import mobilenet
import prepare
import weights

PACKAGE, SHA256 = "nudity==0.2.3", "d26e10346f00ad76b1166a221f1b56877d154ca343e82c6e6c8e738ca5f27d5f"
MEMBER = "nudity-0.2.3/nudity/files/retrained_graph.pb"
FILE = prepare.CACHE / "mobilenet_v1.safetensors"
# Pictures of skimage.data and the ImageNet classes (background included) that tell them right.
PICTURES = {"cat": {282, 283, 286}, "coffee": {505, 968, 969}, "rocket": {658, 745, 813}}


def fetch():
    """The frozen graph's bytes."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "requirements.txt"
        wanted.write_text(f"{PACKAGE} --hash=sha256:{SHA256}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        subprocess.run([*command, "--require-hashes", "--dest", folder, "-r", wanted], check=True)
        with tarfile.open(next(Path(folder).glob("*.tar.gz"))) as archive:
            return archive.extractfile(MEMBER).read()


def fields(message):
    """Number and value of each field of a protocol buffer message: an int, or the bytes of what is longer."""
    at, end = 0, len(message)

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    while at < end:
        number, kind = divmod(varint(), 8)
        if kind == 0:
            yield number, varint()
            continue
        length = {1: 8, 5: 4}[kind] if kind != 2 else varint()
        yield number, message[at : at + length]
        at += length


def constants(graph):
    """The float tensors of a frozen GraphDef by their nodes' names."""
    found = {}
    for number, node in fields(memoryview(graph)):
        if number != 1:
            continue
        parts = list(fields(node))
        name, op = (bytes(next(value for n, value in parts if n == wanted)).decode() for wanted in (1, 2))
        if op != "Const":
            continue
        attributes = {bytes(pair[1]).decode(): pair[2] for pair in (dict(fields(v)) for n, v in parts if n == 5)}
        tensor = list(fields(dict(fields(attributes["value"]))[8]))
        facts = dict(tensor)
        if facts[1] == 1 and 4 in facts:
            shape = [dict(fields(dim)).get(1, 0) for n, dim in fields(facts.get(2, b"")) if n == 2]
            found[name] = np.frombuffer(facts[4], "<f4").reshape(shape)
    return found


def convert(stored):
    """The state dict of `mobilenet.MobileNet` from the constants."""
    state = {}
    for unit in range(mobilenet.UNITS):
        half = "" if unit == 0 else "_depthwise" if unit % 2 else "_pointwise"
        scope, key = f"MobilenetV1/Conv2d_{(unit + 1) // 2}{half}", f"trunk.{unit}"
        deep = half == "_depthwise"
        kernel = stored[f"{scope}/{'depthwise_weights' if deep else 'weights'}"]
        state[f"{key}.0.weight"] = kernel.transpose((2, 3, 0, 1) if deep else (3, 2, 0, 1))
        norms = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
        for ours, theirs in norms.items():
            state[f"{key}.1.{ours}"] = stored[f"{scope}/BatchNorm/{theirs}"]
        state[f"{key}.1.num_batches_tracked"] = np.array(0)
    state["head.weight"] = stored["MobilenetV1/Logits/Conv2d_1c_1x1/weights"][0, 0].T
    state["head.bias"] = stored["MobilenetV1/Logits/Conv2d_1c_1x1/biases"]
    return {name: torch.from_numpy(np.array(value)) for name, value in state.items()}


def load():
    """The state dict of the whole MobileNet, fetched on first use."""
    if not FILE.exists():
        FILE.parent.mkdir(parents=True, exist_ok=True)
        weights.save_whole(convert(constants(fetch())), "mobilenet", FILE)
    return weights.load(FILE)


def check():
    """The five best classes of each picture. @raises AssertionError when the best is wrong"""
    from skimage import data

    net = mobilenet.MobileNet().eval()
    net.load_state_dict(load())
    for name, right in PICTURES.items():
        picture = torch.from_numpy(np.array(getattr(data, name)())).permute(2, 0, 1)[None].float()
        height, width = picture.shape[2:]
        side = round(min(height, width) * 0.875)
        top, left = (height - side) // 2, (width - side) // 2
        crop = F.interpolate(
            picture[:, :, top : top + side, left : left + side], (224, 224), mode="bilinear", antialias=True
        )
        with torch.no_grad():
            scores = net((crop - 128) / 128).softmax(1)[0]
        best = scores.topk(5)
        print(name, [(i, round(s, 3)) for i, s in zip(best.indices.tolist(), best.values.tolist())])
        assert best.indices[0].item() in right, f"Cannot recognise the {name}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="classify three pictures; needs scikit-image")
    load()
    if parser.parse_args().check:
        check()
