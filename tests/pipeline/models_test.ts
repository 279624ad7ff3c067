import assert from "node:assert/strict";
import { checkManifest } from "../../src/handlers/manifest_schema.ts";
import { verifyModel } from "../../src/cli/verify_models.ts";
import { readOnnx } from "../../src/cli/onnx.ts";
import {
  ModelStore,
  servedLabels,
  sha256,
} from "../../src/pipeline/manifest.ts";
import { softmax, type Tensor } from "../../src/pipeline/postprocess.ts";
import { createWasmBackend } from "../../src/pipeline/wasm.ts";
import { golden, models, random, withBackend } from "./support.ts";

interface ModelGolden {
  input: { name: string; shape: number[]; formula: string };
  tolerance: number;
  outputs: Record<
    string,
    { shape: number[]; values?: number[]; sum?: number; first?: number[] }
  >;
}

const EXPRESSIONS =
  "neutral happiness surprise sadness anger disgust fear contempt".split(" ");

function near(
  mine: number,
  theirs: number,
  tolerance: number,
  what: string,
): void {
  assert.ok(
    Math.abs(mine - theirs) <= tolerance,
    `${what}: ${mine} is not ${theirs}`,
  );
}

Deno.test("the manifest passes its schema", () => checkManifest(models.specs));

Deno.test("checkManifest() names the entry and the field that are wrong", () => {
  const first = models.forTask("expression");
  assert.throws(
    () => checkManifest([{ ...first, sha256: "zz" }]),
    /expression.*sha256/,
  );
  assert.throws(() => checkManifest([first, first]), /twice/);
  const { template: _, ...input } = models.forTask("expression").inputs[0]!;
  const bare = { ...models.forTask("expression"), inputs: [input] };
  assert.throws(() => checkManifest([bare]), /template/);
  const units = models.forTask("actionUnits");
  const [logits, ...others] = units.outputs;
  const { thresholds: _t, ...open } = logits!;
  const unsure = { ...units, outputs: [open, ...others] };
  assert.throws(() => checkManifest([unsure]), /action_units.*threshold/);
});

for (const spec of models.specs) {
  Deno.test(`${spec.name}: file, hash, opset, inputs and outputs are the manifest's`, async () => {
    assert.deepEqual(await verifyModel(models, spec), []);
  });

  Deno.test(`${spec.name}: WASM gives Python's golden outputs`, async () => {
    const file = await golden<ModelGolden>(`models/${spec.name}/golden.json`);
    const length = file.input.shape.reduce(
      (product, side) => product * side,
      1,
    );
    const data = Float32Array.from(
      { length },
      (_, i) =>
        spec.task === "faceDetection"
          ? (Math.sin(i * 0.01) * 0.5 + 0.5) * 255
          : Math.sin(i * 0.05) * 0.5,
    );
    await withBackend(async (backend) => {
      const { name: first, shape: dims } = file.input;
      const feeds: Record<string, Tensor> = { [first]: { data, dims } };
      for (const { name } of spec.inputs.filter(({ name }) => name !== first)) {
        const half = length / 2, swapped = new Float32Array(length);
        swapped.set(data.subarray(half));
        swapped.set(data.subarray(0, half), half);
        feeds[name] = { data: swapped, dims };
      }
      const outputs = await backend.run(spec.name, feeds);
      for (const [name, expected] of Object.entries(file.outputs)) {
        assert.deepEqual([...outputs[name]!.dims], expected.shape);
        const values = outputs[name]!.data;
        const listed = expected.values ?? expected.first!;
        listed.forEach((value, i) =>
          near(values[i]!, value, file.tolerance, `${name}[${i}]`)
        );
        if (name === "logits" && spec.precision === "int8") {
          const { temperature } = spec.calibration!;
          const [mine, theirs] = [values, listed].map((logits) =>
            softmax(logits.slice(0, expected.shape[1]), temperature)
          );
          theirs!.forEach((score, i) => near(mine![i]!, score, 0.03, "score"));
        }
        if (expected.sum !== undefined) {
          near(
            values.reduce((a, b) => a + b, 0),
            expected.sum,
            0.01,
            `sum of ${name}`,
          );
        }
      }
    });
  });

  if (spec.task === "faceDetection") continue;
  Deno.test(`${spec.name}: an image's outputs do not depend on its batch`, async () => {
    const shape = spec.inputs[0]!.shape.slice(1).map(Number);
    const length = shape.reduce((product, side) => product * side, 1),
      next = random(7);
    const images = Array.from(
      { length: 32 },
      () => Float32Array.from({ length }, () => next() * 2 - 1),
    );
    await withBackend(async (backend) => {
      async function run(order: number[]): Promise<Record<string, Tensor>> {
        const data = new Float32Array(order.length * length);
        order.forEach((image, place) =>
          data.set(images[image]!, place * length)
        );
        const dims = [order.length, ...shape];
        return await backend.run(
          spec.name,
          Object.fromEntries(
            spec.inputs.map(({ name }, i) => [
              name,
              { data: i === 0 ? data : data.map((value) => -value), dims },
            ]),
          ),
        );
      }
      const alone = await Promise.all(images.map((_, image) => run([image])));
      const shuffled = images.map((_, i) => (i * 13 + 5) % 32);
      for (
        const order of [
          [0, 1, 2, 3, 4, 5, 6, 7],
          shuffled,
          [...shuffled].reverse(),
        ]
      ) {
        const batch = await run(order);
        for (const { name } of spec.outputs) {
          const size = alone[0]![name]!.data.length;
          order.forEach((image, place) => {
            for (let i = 0; i < size; i++) {
              const mine = batch[name]!.data[place * size + i]!;
              near(
                mine,
                alone[image]![name]!.data[i]!,
                1e-4,
                `${name} of image ${image}`,
              );
            }
          });
        }
      }
    });
  });
}

interface GraphGolden {
  input: { shape: number[]; amplitude: number };
  target: { shape: number[]; values: number[] };
  tolerance: number;
  outputs: { saliency: { shape: number[]; values: string } };
}

for (const spec of models.specs.filter((spec) => spec.graphs?.guidedBackprop)) {
  Deno.test(`${spec.name}: WASM gives Python's guided backpropagation`, async () => {
    const file = await golden<GraphGolden>(
      `models/${spec.name}/golden_guided_backprop.json`,
    );
    const { shape, amplitude } = file.input;
    const length = shape.reduce((product, side) => product * side, 1);
    const data = Float32Array.from(
      { length },
      (_, i) => Math.sin(i * 0.05) * amplitude,
    );
    const { saliency: expected } = file.outputs;
    const bytes = Uint8Array.from(
      atob(expected.values),
      (letter) => letter.charCodeAt(0),
    );
    await withBackend(async (backend) => {
      const { saliency } = await backend.run(`${spec.name}#guidedBackprop`, {
        image: { data, dims: shape },
        target: {
          data: new Float32Array(file.target.values),
          dims: file.target.shape,
        },
      });
      assert.deepEqual([...saliency!.dims], expected.shape);
      new Float32Array(bytes.buffer).forEach((value, i) =>
        near(saliency!.data[i]!, value, file.tolerance, `sample ${i}`)
      );
    });
  });
}

interface MapGolden extends Omit<GraphGolden, "outputs"> {
  outputs: { map: { shape: number[]; values: string } };
}

for (const spec of models.specs.filter((spec) => spec.graphs?.gradCam)) {
  Deno.test(`${spec.name}: WASM gives Python's Grad-CAM, from the model's own features`, async () => {
    const file = await golden<MapGolden>(
      `models/${spec.name}/golden_grad_cam.json`,
    );
    const { shape, amplitude } = file.input, { map: expected } = file.outputs;
    const data = Float32Array.from(
      { length: shape.reduce((product, side) => product * side, 1) },
      (_, i) => Math.sin(i * 0.05) * amplitude,
    );
    const bytes = Uint8Array.from(
      atob(expected.values),
      (letter) => letter.charCodeAt(0),
    );
    await withBackend(async (backend) => {
      const feeds = { [spec.inputs[0]!.name]: { data, dims: shape } };
      const { features } = await backend.run(spec.name, feeds);
      const { map } = await backend.run(`${spec.name}#gradCam`, {
        features: features!,
        target: {
          data: new Float32Array(file.target.values),
          dims: file.target.shape,
        },
      });
      assert.deepEqual([...map!.dims], expected.shape);
      new Float32Array(bytes.buffer).forEach((value, i) =>
        near(map!.data[i]!, value, file.tolerance, `cell ${i}`)
      );
    });
  });
}

Deno.test("createWasmBackend() names a graph that is not there", () =>
  withBackend(async (backend) => {
    const { name } = models.forTask("expression");
    await assert.rejects(backend.load(`${name}#nothing`), /no such graph/);
  }));

for (const spec of models.specs.filter((spec) => spec.task === "expression")) {
  Deno.test(`${spec.name}: serves the eight labels in the contract's order`, () => {
    assert.deepEqual(servedLabels(spec), EXPRESSIONS);
  });

  Deno.test(`${spec.name}: the mean of its evidence is the logit`, async () => {
    if (!spec.explanations?.includes("evidence")) return;
    await withBackend(async (backend) => {
      const shape = spec.inputs[0]!.shape.slice(1).map(Number),
        next = random(3);
      const length = shape.reduce((product, side) => product * side, 1);
      const data = Float32Array.from({ length }, () => next() * 2 - 1);
      const feeds = { [spec.inputs[0]!.name]: { data, dims: [1, ...shape] } };
      const { logits, evidence } = await backend.run(spec.name, feeds);
      const cells = evidence!.data.length / logits!.data.length;
      logits!.data.forEach((logit, k) => {
        const map = evidence!.data.subarray(k * cells, (k + 1) * cells);
        near(map.reduce((a, b) => a + b, 0) / cells, logit, 1e-4, `class ${k}`);
      });
    });
  });

  Deno.test(`${spec.name}: the benchmark head is not what is served`, () => {
    const head = spec.outputs.find((output) => output.role === "benchmark");
    assert.equal(head?.labels?.length, 7);
    assert.notEqual(head?.name, "logits");
  });
}

Deno.test("ModelStore refuses weights whose hash is not the manifest's", async () => {
  const [first] = models.specs;
  const store = await ModelStore.open((file) =>
    Promise.resolve(
      file === "manifest.json"
        ? new TextEncoder().encode(JSON.stringify([first]))
        : new Uint8Array([1, 2, 3]),
    )
  );
  await assert.rejects(store.bytes(first!.name), /sha256 is [0-9a-f]{64}, not/);
  const problems = await verifyModel(store, first!);
  assert.equal(problems.length, 1 + Object.keys(first!.graphs ?? {}).length);
});

Deno.test("ModelStore.get() names a model it does not have", () => {
  assert.throws(() => models.get("nobody"), /Cannot find the model "nobody"/);
  assert.equal(models.find("nobody"), undefined);
});

Deno.test("verifyModel() reports a wrong opset, size, name and shape", async () => {
  const spec = models.forTask("expression");
  const wrong = {
    ...spec,
    opset: 18,
    bytes: 1,
    inputs: [{ ...spec.inputs[0]!, shape: ["batch", 1, 48, 64] }],
    outputs: [{ name: "labels" }],
  };
  const problems = (await verifyModel(models, wrong)).join("\n");
  for (
    const part of [
      /opset 17, not 18/,
      /bytes, not 1/,
      /image has shape/,
      /not labels/,
    ]
  ) {
    assert.match(problems, part);
  }
});

Deno.test("readOnnx() refuses what is no model", () => {
  assert.throws(() => readOnnx(new Uint8Array([])), /no graph/);
  assert.throws(() => readOnnx(new Uint8Array([0x3a, 0x7f, 1])), /mid-field/);
  assert.throws(() => readOnnx(new Uint8Array([0x3b])), /wire type/);
});

Deno.test("sha256() hashes as the standard's example", async () => {
  const hash = await sha256(new TextEncoder().encode("abc"));
  assert.equal(
    hash,
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  );
});

Deno.test("createWasmBackend() refuses a graph without the manifest's outputs, and may retry", async () => {
  const spec = models.forTask("expression");
  let outputs = [{ name: "nothing" }];
  const store = await ModelStore.open(async (file) =>
    file === "manifest.json"
      ? new TextEncoder().encode(JSON.stringify([{ ...spec, outputs }]))
      : await models.bytes(spec.name)
  );
  const backend = createWasmBackend(store);
  await assert.rejects(backend.load(spec.name), /has no output "nothing"/);
  (store.specs[0] as { outputs: unknown }).outputs = outputs = spec.outputs as {
    name: string;
  }[];
  await backend.load(spec.name);
  await backend.close();
});
