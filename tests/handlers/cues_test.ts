import assert from "node:assert/strict";
import { checkManifest } from "../../src/handlers/manifest_schema.ts";
import { createHandler } from "../../src/handlers/mod.ts";
import { percentile } from "../../src/pipeline/cues.ts";
import type { ModelSpec } from "../../src/pipeline/manifest.ts";
import { createPipeline } from "../../src/pipeline/mod.ts";
import type { Analysis, Face } from "../../src/types.ts";
import { fixture } from "../testdata/pictures.ts";
import { twoFaces } from "./collage.ts";
import { post } from "./requests.ts";

const NAME = "expression_cues";
const TESTDATA = new URL("../testdata/", import.meta.url);
const MODELS = new URL("../../models/", import.meta.url);
const SPEC: ModelSpec = JSON.parse(
  await Deno.readTextFile(new URL("cues.json", TESTDATA)),
);

/** A models folder with the real detector and landmark net, and the test graph under a given entry. */
async function folderWith(entry: ModelSpec): Promise<URL> {
  const root = await Deno.makeTempDir();
  const folder = new URL(`file://${root}/`);
  const all: ModelSpec[] = JSON.parse(
    await Deno.readTextFile(new URL("manifest.json", MODELS)),
  );
  const kept = all.filter(({ task }) => task.startsWith("face"));
  const sources = [
    ...kept.map(({ file }) => [new URL(file!, MODELS), file!] as const),
    [new URL("cues.onnx", TESTDATA), entry.file!] as const,
  ];
  for (const [from, file] of sources) {
    const to = new URL(file, folder);
    await Deno.mkdir(new URL("./", to), { recursive: true });
    await Deno.copyFile(from, to);
  }
  await Deno.writeTextFile(
    new URL("manifest.json", folder),
    JSON.stringify([...kept, entry]),
  );
  return folder;
}

/** Faces of a photo read by the test graph under a given entry, over HTTP. */
async function faces(
  entry: ModelSpec,
  image: BodyInit,
  query: string,
): Promise<Face[]> {
  const models = await folderWith(entry);
  const pipeline = await createPipeline({
    workers: 0,
    models,
    model: NAME,
    deadlineMs: 120_000,
  });
  try {
    await pipeline.ready;
    const handler = createHandler({ pipeline });
    const response = await post(handler, `/v1/analyze?${query}`, image);
    const body: Analysis = await response.json();
    assert.equal(response.status, 200, JSON.stringify(body));
    return body.faces;
  } finally {
    await pipeline.close();
    await Deno.remove(models, { recursive: true });
  }
}

/** `values[i]` at `low + i * (high - low) / 100`, clamped: what the entry's straight quantiles give. */
function straight(low: number, high: number, value: number): number {
  return Math.min(1, Math.max(0, (value - low) / (high - low)));
}

/** The raw values of an answer's grid. */
function raw(face: Face): number[] {
  const { values, min, max } = face.explanation!.grid;
  return values.map((value) => min + value * (max - min));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

Deno.test("typicality and certainty are the outputs' places on valid, face by face", async () => {
  const found = await faces(SPEC, await twoFaces(), "explain=evidence");
  assert.equal(found.length, 2);
  for (const face of found) {
    const { expression } = face, logit = mean(raw(face));
    // The graph: distance = |logit|; logit = slope * (mean of the input + 2); alpha = sigmoid of that mean.
    const slope = 1, brightness = logit / slope - 2;
    const alpha = 1 / (1 + Math.exp(-brightness));
    assert.equal(expression!.label, "happiness");
    const near = (a: number, b: number) => assert.ok(Math.abs(a - b) < 1e-3);
    near(expression!.typicality!, 1 - straight(0, 4, Math.abs(logit)));
    near(expression!.certainty!, straight(0.2, 0.8, alpha));
  }
  const [a, b] = found.map(({ expression }) => expression!.certainty);
  assert.notEqual(a, b);
});

Deno.test("explain=attention shows the output that says it explains so", async () => {
  const photo = fixture("astronaut.jpg");
  const [evidence] = await faces(SPEC, photo, "explain=evidence");
  const [attention] = await faces(SPEC, photo, "explain=attention");
  assert.equal(attention!.explanation!.method, "attention");
  assert.equal(attention!.explanation!.grid.width, 4);
  const whole = raw(evidence!);
  raw(attention!).forEach((value, i) =>
    assert.ok(Math.abs(value - whole[i]! / 2) < 1e-4, `cell ${i}`)
  );
});

Deno.test("a model without these measures answers without them, as does an answer without expression", async () => {
  const photo = fixture("astronaut.jpg");
  const plain = { ...SPEC, calibration: { temperature: 1 } };
  const [bare] = await faces(plain, photo, "");
  assert.ok(!("typicality" in bare!.expression!));
  assert.ok(!("certainty" in bare!.expression!));
  const [quality] = await faces(SPEC, photo, "attributes=quality");
  assert.equal(quality!.expression, undefined);
});

const PLACES: [value: number, place: number][] = [
  [-1, 0],
  [0, 0],
  [1, 0.25],
  [1.5, 0.375],
  [2, 0.625],
  [3, 0.875],
  [4, 1],
  [9, 1],
];

for (const [value, place] of PLACES) {
  Deno.test(`percentile() puts ${value} at ${place}`, () => {
    assert.equal(percentile([0, 1, 2, 2, 4], value), place);
  });
}

Deno.test("percentile() of a flat start or end is its middle", () => {
  assert.equal(percentile([1, 1, 1, 3], 1), 1 / 3);
  assert.equal(percentile([5, 5], 5), 0.5);
});

Deno.test("checkManifest() takes the entry, and refuses quantiles that fall", () => {
  checkManifest([SPEC]);
  const falling = { output: "alpha", quantiles: [1, 0] };
  assert.throws(
    () =>
      checkManifest([{
        ...SPEC,
        calibration: { temperature: 1, certainty: falling },
      }]),
    /expression_cues: calibration\.certainty\.quantiles: quantiles must ascend/,
  );
});
