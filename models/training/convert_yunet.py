"""YuNet-s as published -> the detector we serve: same numbers, opset 17, no shape arithmetic.

    python convert_yunet.py ../../../shared/weights/yunet/yunet_s_dynamic.onnx

Writes models/face_detection_yunet/ (graph, licence, golden file) and the manifest entry. The source
has its batch normalisation folded already; what is repaired here is the opset, the weights listed
among the inputs, and the chain of shape nodes before each output.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper, version_converter

import graph
import manifest

NAME = "face_detection_yunet"
STRIDES = [8, 16, 32]
WIDTHS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
GOLDEN_SHAPE = [1, 3, 64, 96]


def constant_reshapes(model):
    """Give every Reshape the constant target [0, -1, C]; the nodes that computed it fall away."""
    weights = {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}
    producer = {output: node for node in model.graph.node for output in node.output}
    for node in model.graph.node:
        if node.op_type == "Reshape":
            channels = int(weights[producer[node.input[1]].input[-1]].item())
            name = f"rows_of_{channels}"
            if name not in weights:
                weights[name] = np.array([0, -1, channels], dtype=np.int64)
                model.graph.initializer.append(numpy_helper.from_array(weights[name], name))
            node.input[1] = name


def drop_unused(model):
    """Remove nodes and initializers that no output depends on, and initializers from the inputs."""
    needed, nodes = {o.name for o in model.graph.output}, []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            nodes.append(node)
    weights = [w for w in model.graph.initializer if w.name in needed]
    inputs = [i for i in model.graph.input if i.name == "input"]
    for field, kept in (("node", nodes[::-1]), ("initializer", weights), ("input", inputs)):
        content = list(kept)
        del getattr(model.graph, field)[:]
        getattr(model.graph, field).extend(content)


def outputs():
    """Value infos in the order cls_8, cls_16, ... kps_32: `[batch, cells, 1 | 1 | 4 | 10]`."""
    return [
        helper.make_tensor_value_info(f"{head}_{stride}", onnx.TensorProto.FLOAT, ["batch", f"cells_{stride}", width])
        for head, width in WIDTHS.items()
        for stride in STRIDES
    ]


def convert(source):
    model = onnx.load(source)
    constant_reshapes(model)
    drop_unused(model)
    model.ir_version = 8
    model = version_converter.convert_version(model, 17)
    drop_unused(model)
    del model.graph.value_info[:], model.graph.output[:]
    model.graph.output.extend(outputs())
    model.graph.name = NAME
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model


def run(model, images):
    content = model if isinstance(model, str) else model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, {"input": images})))


def compare(source, model):
    """Largest absolute difference between the published graph and ours over three input shapes."""
    random, worst = np.random.default_rng(1), 0.0
    for shape in ([1, 3, 256, 320], [1, 3, 640, 640], [2, 3, 256, 320]):
        images = random.uniform(0, 255, shape).astype(np.float32)
        theirs, ours = run(str(source), images), run(model, images)
        worst = max(worst, *(float(np.abs(theirs[name] - ours[name]).max()) for name in theirs))
    return worst


def golden(model):
    """Inputs by formula, and of each output its shape, sum and first values."""
    count = int(np.prod(GOLDEN_SHAPE))
    images = ((np.sin(np.arange(count) * 0.01) * 0.5 + 0.5) * 255).astype(np.float32).reshape(GOLDEN_SHAPE)
    expected = {}
    for name, value in run(model, images).items():
        total, first = float(value.sum(dtype=np.float64)), value.ravel()[:8].tolist()
        expected[name] = {"shape": list(value.shape), "sum": total, "first": first}
    formula = "(sin(i * 0.01) * 0.5 + 0.5) * 255 as float32, i the flat index"
    given = {"name": "input", "shape": GOLDEN_SHAPE, "formula": formula}
    return {"input": given, "tolerance": 1e-3, "outputs": expected}


def entry(model, file):
    facts = graph.describe(model)
    scale = [1 / 255] * 3  # applied to pixel / 255, so the graph gets 0..255 as it was trained on
    return {
        "name": NAME,
        "version": "1.0.0",
        "task": "faceDetection",
        "system": "YuNet",
        **manifest.file_facts(file),
        "opset": facts["opset"],
        "precision": "fp32",
        "parameters": graph.parameters(model),
        "multiplyAdds": graph.multiply_adds(model, [1, 3, 320, 320]),
        "inputs": [
            {
                "name": "input",
                "shape": ["batch", 3, "height", "width"],
                "layout": "NCHW",
                "color": "BGR",
                "mean": [0, 0, 0],
                "std": scale,
            }
        ],
        "outputs": facts["outputs"],
        "strides": STRIDES,
        "explanations": [],
        "variants": [],
        "metrics": [],
        "license": "Apache-2.0",
        "dataLicense": "WIDER FACE: images for non-commercial research; whether that binds weights is unsettled",
        "source": "libfacedetection.train 0047ac2, yunet_s_dynamic.onnx, converted by models/training/convert_yunet.py",
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="yunet_s_dynamic.onnx; its LICENSE lies beside it")
    source = parser.parse_args().source
    model = convert(source)
    difference = compare(source, model)
    assert difference <= 1e-5, f"Converted graph differs from the published one by {difference}"
    folder = manifest.MODELS / NAME
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{NAME}.onnx"
    onnx.save(model, file)
    shutil.copyfile(source.parent / "LICENSE", folder / "LICENSE")
    (folder / "golden.json").write_text(json.dumps(golden(model), indent=2) + "\n")
    manifest.update(entry(model, file))
    print(f"{file.name}: {len(model.graph.node)} nodes, largest difference to the source {difference:.1e}")
