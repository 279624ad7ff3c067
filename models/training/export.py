"""A trained run -> ONNX, checked, calibrated, and written into the manifest.

    python export.py mini_xception --name expression_mini_xception
    python export.py mini_xception_gender --name gender_mini_xception
    python export.py patt_lite --name expression_patt_lite --half     # weights of the graph in half precision on disk
    python export.py dacl --name expression_dacl --variant            # for quantize.py; the fp16 graph stays beside it

The graph takes `image` `[batch, 1, size, size]` and gives the task's heads (`logits` is served; expression has
`logits_fer2013` beside it, as a benchmark), `evidence` `[batch, classes, h, w]`, the served head's class maps whose
spatial mean is the logit, and what the network names in its EXTRAS, which its `read` gives beside the maps. The weights are also written as they were before folding, in half precision, for `train.py
--start`. Figures come after, by evaluate.py.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

import align
import calibration
import evaluate
import goldens
import graph
import half
import manifest
import precision
import prepare
import task_expression
import train
import weights
import wild

TOLERANCE = 1e-4


class Served(nn.Module):
    """Evidence maps `[B, classes, h, w]` of all heads, and a network's extras -> what the graph returns."""

    def __init__(self, net, heads):
        super().__init__()
        self.net, self.columns = net, list(evaluate.slices(heads).values())

    def forward(self, image):
        maps, *extras = self.net.read(image) if hasattr(self.net, "EXTRAS") else (self.net(image),)
        if len(self.columns) == 1:
            return maps.mean((2, 3)), maps, *extras
        logits = maps.mean((2, 3))
        return *(logits[:, columns] for columns in self.columns), maps[:, self.columns[0]], *extras


def output_names(net, heads):
    return [*heads, "evidence", *getattr(net, "EXTRAS", ())]


def export(net, heads, size, file, fold=True):
    """Write the graph: opset 17, batch axis dynamic; batch normalisation folded into the convolutions, or left with `fold`
    off, when every weight keeps its name, so that `weights.py` can read them out of the graph again.
    """
    outputs, served, image = output_names(net, heads), Served(net, heads).eval(), torch.zeros(2, 1, size, size)
    torch.onnx.export(
        served,
        image,
        str(file),
        dynamo=False,
        training=torch.onnx.TrainingMode.EVAL if fold else torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=fold,
        opset_version=17,
        input_names=["image"],
        output_names=outputs,
        dynamic_axes={n: {0: "batch"} for n in ["image", *outputs]},
    )
    model = onnx.load(file)
    left = any(node.op_type == "BatchNormalization" for node in model.graph.node)
    assert not (fold and left), "Batch normalisation is left"
    model.ir_version = 8
    graph.merge_pads(model)
    with torch.no_grad():
        shapes = [value.shape[1:] for value in served(image)]
    for output, shape in zip(model.graph.output, shapes, strict=True):
        output.CopyFrom(onnx.helper.make_tensor_value_info(output.name, onnx.TensorProto.FLOAT, ["batch", *shape]))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, file)
    return model


def variant(net, heads, size, file):
    """A second graph for a GPU server, kernels in half precision and nothing folded; it stands for `weights.safetensors` too."""
    onnx.save(half.halve(export(net, heads, size, file, fold=False)), file)
    return {"precision": "fp16", "use": "gpu", **manifest.file_facts(file)}


def check(net, heads, size, file):
    """Largest differences: torch to ONNX, alone to shuffled batches of 8 and 32, logits to the mean of the evidence."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    gen = torch.Generator().manual_seed(1)
    images = torch.rand(32, 1, size, size, generator=gen) * 2 - 1
    with torch.no_grad():
        expected = [o.numpy() for o in Served(net, heads).eval()(images)]
    outputs = output_names(net, heads)
    singles = [session.run(outputs, {"image": image[None].numpy()}) for image in images]
    alone = [np.concatenate(parts) for parts in zip(*singles)]
    order = torch.randperm(32, generator=gen)
    batch = 0.0
    for count in (8, 32):
        chosen = order[:count].numpy()
        together = session.run(outputs, {"image": images[chosen].numpy()})
        batch = max(batch, *(float(np.abs(a[chosen] - b).max()) for a, b in zip(alone, together)))
    return {
        "parity": max(float(np.abs(a - b).max()) for a, b in zip(alone, expected)),
        "batch": batch,
        "evidence": float(np.abs(alone[len(heads)].mean((2, 3)) - alone[0]).max()),
    }


def entry(name, net, module, model, file, state):
    task = train.task(module.TASK)
    facts = graph.describe(model)
    shapes = {o["name"]: o["shape"] for o in facts["outputs"]}
    explains = getattr(net, "EXPLAINS", {})  # outputs that show another method than their name says
    stored = (v for v in net.state_dict().values() if v.dtype.is_floating_point)
    config = state["config"]
    return {
        "name": name,
        "version": "1.0.0",
        "task": module.TASK,
        "system": module.SYSTEM,
        **manifest.file_facts(file),
        "opset": facts["opset"],
        "precision": "fp32",
        "parameters": sum(v.numel() for v in stored),
        "multiplyAdds": graph.multiply_adds(model, [1, 1, module.SIZE, module.SIZE]),
        "inputs": [
            {
                "name": "image",
                "shape": ["batch", 1, module.SIZE, module.SIZE],
                "layout": "NCHW",
                "color": "gray",
                "mean": [0.5],
                "std": [0.5],
                "template": align.template(task.TEMPLATE),
            }
        ],
        "outputs": [
            *(
                {"name": output, "shape": shapes[output], "labels": labels}
                | ({} if output == "logits" else {"role": "benchmark"})
                for output, (_, labels, _) in task.HEADS.items()
            ),
            *(
                {"name": output, "shape": shapes[output]}
                | ({"explains": explains[output]} if output in explains else {})
                for output in ("evidence", *getattr(net, "EXTRAS", ()))
            ),
        ],
        "calibration": {},
        "explanations": ["evidence", *getattr(net, "EXPLANATIONS", ())],
        "variants": [],
        "metrics": [],
        "license": "MIT",
        "dataLicense": terms(task, config),
        "source": source(config, state["step"]),
    }


def terms(task, config):
    """The terms of the data that weights were trained on: the task's, and the web faces' where a teacher answered on them."""
    if config.get("teacher"):
        with np.load(task_expression.teacher_file(config["teacher"])) as stored:
            if "faces" in stored:
                return f"{task.DATA_LICENSE}; {wild.DATA_LICENSE}"
    return task.DATA_LICENSE


def source(config, steps):
    """How a run's weights came about, in a sentence."""
    text = (
        f"trained by models/training/train.py {config['network']}: {steps} steps of a schedule of "
        f"{config['epochs']} epochs, batch {config['batch']}, seed {config['seed']}"
    )
    if config.get("start"):
        text += f", from {Path(config['start']).parent.name}/{Path(config['start']).name}"
    if config.get("teacher"):
        with np.load(task_expression.teacher_file(config["teacher"])) as stored:
            teachers = " and ".join(stored["teachers"].tolist())
        text += f"; {config['teacher_weight']:.0%} of the loss from the answers of {teachers} (teach.py)"
    if config.get("tutors"):
        tutors = " and ".join(config["tutors"])
        text += f"; {config['teacher_weight']:.0%} of the loss from {tutors} on every batch (tutors.py)"
    if config.get("soup"):
        text += f"; mean with the weights of {' and '.join(config['soup'])} (soup.py)"
    return text


def main(args):
    net, module, state = evaluate.load_run(args.runs / args.run)
    folder = manifest.MODELS / args.name
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{args.name}.onnx"
    heads = train.task(module.TASK).HEADS
    model = export(net, heads, module.SIZE, file)
    differences = check(net, heads, module.SIZE, file)
    assert max(differences.values()) <= TOLERANCE, f"Exported graph differs: {differences}"
    item = entry(args.name, net, module, model, file, state)
    if args.half:
        exact, _ = evaluate.graph_logits(item, args.data)
        onnx.save(half.halve(model), file)
        item |= manifest.file_facts(file) | {"precision": "fp16"}
    if args.variant:
        item["variants"] = [variant(net, heads, module.SIZE, folder / f"{args.name}_fp16.onnx")]
    else:
        settings = train.of_build(module, state["config"].get("settings"))
        weights.save(state["ema"], module.__name__, folder / weights.NAME, settings)
        item["weights"] = manifest.file_facts(folder / weights.NAME)
    logits, task = evaluate.graph_logits(item, args.data)
    item["calibration"] = calibration.calibrate(*calibration.served(logits, task))
    if args.half:
        temperature, size = item["calibration"]["temperature"], {"fp32": model.ByteSize(), "fp16": item["bytes"]}
        command = f"python models/training/export.py {args.run} --name {args.name} --half"
        item["halved"] = precision.compare(exact, logits, task, temperature, "fp16") | {
            "bytes": size,
            "command": command,
        }
    goldens.model(item)
    manifest.update(item)
    print(json.dumps({"bytes": item["bytes"], "differences": differences, **item["calibration"]["measured"]}, indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="the run's name, which is the network's unless train.py was told otherwise")
    parser.add_argument("--name", required=True, help="the model's name in the manifest")
    parser.add_argument("--half", action="store_true", help="keep the graph's weights in half precision")
    parser.add_argument(
        "--variant", action="store_true", help="a graph for a GPU server in place of weights.safetensors"
    )
    parser.add_argument("--runs", type=Path, default=train.RUNS)
    parser.add_argument("--data", type=Path, default=prepare.DATA)
    main(parser.parse_args())
