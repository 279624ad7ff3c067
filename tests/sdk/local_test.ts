import assert from "node:assert/strict";
import * as ort from "onnxruntime-web";
import { DEFAULT_MODEL } from "../../src/pipeline/defaults.ts";
import { Mien } from "../../src/sdk/client.ts";
import {
  type Analysis,
  type AnalyzeOptions,
  createAnalyzer,
  MienError,
  type Progress,
} from "../../src/sdk/local.ts";
import { calm } from "../handlers/portrait.ts";
import { handler } from "../handlers/real.ts";
import { fixture } from "../testdata/pictures.ts";
import { assertSameNumbers } from "./numbers.ts";

const seen: Progress[] = [];
const analyzer = await createAnalyzer({
  ort,
  limits: { minSide: 16 },
  onProgress: (progress) => seen.push(progress),
});
Deno.test.afterAll(() => analyzer.close());

const bodies: Request[] = [];
const mien = new Mien({
  endpoint: "http://mien.test",
  analyzer,
  fetch: async (input, init) => {
    const request = new Request(input, init);
    bodies.push(request.clone());
    return await handler(request);
  },
});

const wanted: AnalyzeOptions = {
  attributes: ["expression", "landmarks", "quality"],
};

function facts({ image, faces }: Analysis) {
  return { image, faces };
}

Deno.test("analyze() makes the server's heatmap, pixel by pixel", async () => {
  const request = { explain: "evidence" } as const;
  const bytes = fixture("astronaut.jpg");
  const [local, remote] = [
    await analyzer.analyze(bytes, request),
    await mien.analyze(bytes, request),
  ];
  assert.ok(local.faces[0]!.explanation);
  assertSameNumbers(facts(local), facts(remote));
});

Deno.test("analyze() takes pixels as they are", async () => {
  const { decode } = await import("../../src/pipeline/decode.ts");
  const { readHeader } = await import("../../src/pipeline/header.ts");
  const { IMAGE_LIMITS } = await import("../../src/pipeline/defaults.ts");
  const bytes = fixture("astronaut.jpg");
  const pixels = await decode(bytes, readHeader(bytes, IMAGE_LIMITS));
  const { image, faces: [face] } = await analyzer.analyze(pixels);
  assert.deepEqual(image, {
    width: 512,
    height: 512,
    orientation: 1,
    type: "pixels",
  });
  assert.equal(face!.expression!.label, "happiness");
});

Deno.test("createAnalyzer() tells how far each file is", () => {
  const files = new Set(seen.map(({ file }) => file));
  assert.ok(files.has(`${DEFAULT_MODEL}/${DEFAULT_MODEL}.onnx`));
  for (const file of files) {
    const { loaded, total } = seen.findLast((item) => item.file === file)!;
    if (file !== "manifest.json") assert.equal(loaded, total);
  }
});

const REFUSED: [name: string, options: object, code: string][] = [
  ["a number out of range", { maxFaces: 0 }, "invalid_request"],
  ["half a face", { maxFaces: 1.5 }, "invalid_request"],
  ["a coverage out of range", { coverage: 0.2 }, "invalid_request"],
  ["a model that is not there", { model: "nobody" }, "unknown_model"],
  ["a GPU server", { route: "gpu" }, "gpu_unavailable"],
];

for (const [name, options, code] of REFUSED) {
  Deno.test(`analyze() refuses ${name} as the server does`, async () => {
    const error: unknown = await analyzer.analyze(
      fixture("coffee.jpg"),
      options,
    ).catch((error) => error);
    assert.ok(error instanceof MienError);
    assert.equal(error.code, code);
    await assert.rejects(mien.analyze(fixture("coffee.jpg"), options), {
      code,
    });
  });
}

Deno.test("analyze() says what is wrong with the bytes", async () => {
  await assert.rejects(analyzer.analyze(new Uint8Array(9)), {
    name: "MienError",
    code: "unsupported_image",
  });
  await assert.rejects(analyzer.analyze("x" as "data:"), TypeError);
});

Deno.test("an abort ends an analysis with its own reason", async () => {
  const reason = new Error("changed my mind");
  const signal = AbortSignal.abort(reason);
  const photo = fixture("astronaut.jpg");
  await assert.rejects(
    analyzer.analyze(photo, { signal }),
    (error) => error === reason,
  );
  await assert.rejects(
    createAnalyzer({ ort, signal }),
    (error) => error === reason,
  );
});

Deno.test("createAnalyzer() says what keeps it from starting", async () => {
  const { models: specs } = analyzer;
  const files: Record<string, Uint8Array> = {
    "manifest.json": new TextEncoder().encode(JSON.stringify(specs)),
  };
  for (const { file } of specs) files[file!] = new Uint8Array(8);
  await assert.rejects(createAnalyzer({ ort, models: { files } }), {
    name: "MienError",
    message: /sha256 is/,
  });
  await assert.rejects(createAnalyzer({ ort, model: "nobody" }), RangeError);
});

Deno.test("privacy=crops sends each face's crop and nothing else", async () => {
  const bytes = fixture("astronaut.jpg");
  const photo = await mien.analyze(bytes, wanted);
  bodies.length = 0;
  const crops = await mien.analyze(bytes, { ...wanted, privacy: "crops" });
  assert.equal(bodies.length, 1);
  const { searchParams } = new URL(bodies[0]!.url);
  assert.equal(searchParams.get("input"), "crop");
  assert.equal(searchParams.get("model"), DEFAULT_MODEL);
  const sent = await bodies[0]!.bytes();
  const view = new DataView(sent.buffer);
  const side = analyzer.models.find(({ name }) => name === DEFAULT_MODEL)!
    .inputs[0]!.shape[3];
  assert.deepEqual([view.getUint32(16), view.getUint32(20)], [side, side]);

  const [mine, theirs] = [crops.faces[0]!, photo.faces[0]!];
  assert.equal(crops.faces.length, photo.faces.length);
  assert.deepEqual(crops.image, photo.image);
  assertSameNumbers(mine.boundingBox, theirs.boundingBox);
  assertSameNumbers(mine.landmarks, theirs.landmarks);
  assert.equal(mine.provenance.input, "crop");
  for (const { label, score } of theirs.expression!.scores) {
    const same = mine.expression!.scores.find((item) => item.label === label)!;
    assert.ok(Math.abs(same.score - score) < 0.02, `${label}: ${same.score}`);
  }
});

Deno.test("privacy=crops sends nothing when there is no face, or nobody to find one", async () => {
  bodies.length = 0;
  const { faces } = await mien.analyze(fixture("coffee.jpg"), {
    privacy: "crops",
  });
  assert.deepEqual(faces, []);
  const without = new Mien({
    endpoint: "http://mien.test",
    fetch: () => assert.fail("something was sent"),
  });
  const photo = fixture("astronaut.jpg");
  await assert.rejects(without.analyze(photo, { privacy: "crops" }), TypeError);
  const misspelt = { privacy: "crop" as "crops" };
  await assert.rejects(without.analyze(photo, misspelt), TypeError);
  assert.equal(bodies.length, 0);
});

Deno.test("stream() keeps ids and reads action units against the face's own calm look", async () => {
  const still = await calm(), ended = { source: false };
  function* film() {
    try {
      for (let frame = 0; frame < 20; frame++) yield still;
    } finally {
      ended.source = true;
    }
  }
  const references = [];
  const frames = analyzer.stream(film(), { attributes: ["actionUnits"] });
  for await (const { faces: [face] } of frames) {
    assert.ok(face!.trackId);
    references.push(face!.actionUnitReference);
    if (references.at(-1) === "running") break;
  }
  assert.deepEqual(references.slice(0, 3), ["none", "none", "none"]);
  assert.equal(references.at(-1), "running");
  assert.ok(ended.source);
});

Deno.test("stream() keeps to a neutral that was given, and ends by its signal", async () => {
  const still = await calm(), end = new AbortController();
  const frames = analyzer.stream([still, still, still], {
    attributes: ["actionUnits"],
    neutral: new Blob([fixture("astronaut.jpg")]),
    signal: end.signal,
  });
  const { value } = await frames.next();
  assert.equal(value!.faces[0]!.actionUnitReference, "provided");
  end.abort(new Error("enough"));
  await assert.rejects(frames.next(), /enough/);
});
