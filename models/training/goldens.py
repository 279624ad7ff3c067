"""Golden files: what the TypeScript preprocessing and the models must reproduce, on inputs made by formula.

python goldens.py        # tests/testdata/preprocess_golden.json; golden.json of a model is rewritten by export.py
"""

import base64
import json

import numpy as np
import onnx
import onnxruntime

import align
import graph
import manifest

SIZE = 64
FILE = manifest.MODELS.parent / "tests" / "testdata" / "preprocess_golden.json"
PIXELS = "floor(127.5 + 127.5 * sin(0.13 * x * (c + 1) + 0.07 * y * (3 - c)) + 0.5), x column, y row, c in R, G, B"
# Where the template is put into the picture, and how far each point then strays from it (pixels).
MANY = 1024  # values of one output that are written down
CASES = [
    {"name": "small face, enlarged", "image": [37, 29], "scale": 0.36, "degrees": 0, "at": [18.2, 14.1]},
    {"name": "turned by 25 degrees, partly outside", "image": [37, 29], "scale": 0.5, "degrees": 25, "at": [29.0, 9.5]},
    {"name": "large face, reduced by 2", "image": [400, 300], "scale": 2.6, "degrees": -12, "at": [190.4, 140.7]},
    {"name": "reduced by 3, over two edges", "image": [400, 300], "scale": 3.45, "degrees": 8, "at": [330.0, 240.0]},
]
STRAY = np.array([[0.6, -0.4], [-0.3, 0.5], [0.2, 0.7], [-0.6, -0.2], [0.4, -0.5]])


def picture(width, height):
    """The formula picture, uint8 RGB `[height, width, 3]`."""
    y, x, c = np.mgrid[0:height, 0:width, 0:3]
    return np.floor(127.5 + 127.5 * np.sin(0.13 * x * (c + 1) + 0.07 * y * (3 - c)) + 0.5).clip(0, 255).astype(np.uint8)


def place(points, scale, degrees, at):
    """Landmarks in picture pixels: the template scaled, turned about its middle, put at `at`, and made imperfect."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.round((points - 0.5) * SIZE * scale @ turn.T + at + STRAY * scale, 3)


def preprocess():
    template = align.template()
    points = np.array(list(template.values()))
    cases = []
    for case in CASES:
        image = picture(*case["image"])
        landmarks = place(points, case["scale"], case["degrees"], case["at"])
        gray, matrix, factor = align.align(image, landmarks, points, SIZE)
        tensor = ((gray / 255 - 0.5) / 0.5).astype("<f4")
        cases.append(
            {
                "name": case["name"],
                "width": case["image"][0],
                "height": case["image"][1],
                "pixelSum": int(image.sum(dtype=np.int64)),
                "landmarks": dict(zip(template, landmarks.tolist())),
                "matrix": matrix.tolist(),
                "factor": factor,
                "tensor": base64.b64encode(tensor.tobytes()).decode(),
            }
        )
    text = {
        "pixels": PIXELS,
        "matrix": "output pixel centre -> picture pixel centre, both integers; see models/training/align.py",
        "template": template,
        "size": SIZE,
        "color": "gray",
        "mean": [0.5],
        "std": [0.5],
        "tensorEncoding": "base64 of little-endian float32, [1, 1, size, size]",
        "tolerance": 1e-5,
        "cases": cases,
    }
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps(text, indent=2) + "\n")


def model(entry):
    """golden.json beside an exported model: two images by formula and every output, of large ones the first values; of two
    inputs the second has the images in the other order."""
    spec, *others = entry["inputs"]
    shape = [2, *spec["shape"][1:]]
    images = (np.sin(np.arange(np.prod(shape)) * 0.05) * 0.5).astype(np.float32).reshape(shape)
    feeds = {spec["name"]: images} | {other["name"]: images[::-1] for other in others}
    file = manifest.MODELS / entry["file"]
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [o["name"] for o in entry["outputs"]]
    given = dict(zip(names, session.run(names, feeds)))
    outputs = {
        name: {"shape": list(value.shape), "values" if value.size <= MANY else "first": value.ravel()[:MANY].tolist()}
        for name, value in given.items()
    }
    formula = "sin(i * 0.05) * 0.5 as float32, i the flat index"
    tolerance = 1e-4
    if entry["precision"] == "int8":  # runtimes round it differently: a step or two of what the outputs are made of
        largest = max(float(np.abs(value).max()) for value in given.values())
        tolerance = round(max(0.02 * largest, 1.5 * graph.output_step(onnx.load(file))), 4)
    text = {
        "input": {"name": spec["name"], "shape": shape, "formula": formula},
        "tolerance": tolerance,
        "outputs": outputs,
    }
    file.with_name("golden.json").write_text(json.dumps(text, indent=2) + "\n")


if __name__ == "__main__":
    preprocess()
