import assert from "node:assert/strict";
import type { Backend } from "../../src/pipeline/backend.ts";
import { decode } from "../../src/pipeline/decode.ts";
import { createEngine } from "../../src/pipeline/engine.ts";
import { resolveOptions } from "../../src/pipeline/options.ts";
import type { Tensor } from "../../src/pipeline/postprocess.ts";
import { createWasmBackend } from "../../src/pipeline/wasm.ts";
import { fixture, LIMITS } from "../testdata/pictures.ts";
import { faceCrop, twoFaces } from "./collage.ts";
import { analyze, handler, pipeline } from "./real.ts";
import { base64, form, post } from "./requests.ts";

const PHOTO = fixture("astronaut.jpg");
const TWO = await twoFaces();
const MODEL = pipeline.models.get(pipeline.model);
const LABELS = MODEL.outputs[0]!.labels!;

Deno.test("scores hold every label once, sorted, summing to 1, the label first", async () => {
  const { faces } = await analyze(PHOTO);
  assert.equal(faces.length, 1);
  const { label, score, scores, decision } = faces[0]!.expression!;
  assert.deepEqual(
    scores.map((entry) => entry.label).sort(),
    [...LABELS].sort(),
  );
  const values = scores.map((entry) => entry.score);
  assert.deepEqual(values, values.toSorted((a, b) => b - a));
  const sum = values.reduce((total, value) => total + value, 0);
  assert.ok(Math.abs(sum - 1) < 1e-6, String(sum));
  assert.deepEqual({ label, score }, scores[0]);
  assert.equal(decision, "certain");
});

Deno.test("decision turns uncertain when minConfidence passes the score", async () => {
  const { score } = (await analyze(PHOTO)).faces[0]!.expression!;
  for (
    const [least, decision] of [
      [score, "certain"],
      [score + 1e-9, "uncertain"],
      [1, "uncertain"],
    ] as const
  ) {
    const { faces } = await analyze(PHOTO, `minConfidence=${least}`);
    assert.equal(faces[0]!.expression!.decision, decision, String(least));
  }
});

Deno.test("the face's box lies on the face, and its shares agree with its pixels", async () => {
  const { image, faces } = await analyze(PHOTO);
  assert.deepEqual(image, {
    width: 512,
    height: 512,
    orientation: 1,
    type: "image/jpeg",
  });
  const { boundingBox: box, normalizedBoundingBox: share, detectionScore } =
    faces[0]!;
  assert.ok(detectionScore >= 0.6 && detectionScore <= 1);
  assert.ok(box.x > 150 && box.x + box.width < 300, JSON.stringify(box));
  assert.ok(box.y > 30 && box.y + box.height < 230, JSON.stringify(box));
  assert.deepEqual(share, {
    x: box.x / 512,
    y: box.y / 512,
    width: box.width / 512,
    height: box.height / 512,
  });
});

Deno.test("landmarks are the subject's right and left, inside the box, and roll follows the eyes", async () => {
  const { faces } = await analyze(PHOTO, "attributes=landmarks");
  const { boundingBox: box, landmarks, rollDegrees, expression } = faces[0]!;
  assert.equal(expression, undefined);
  for (const [name, { x, y }] of Object.entries(landmarks!)) {
    assert.ok(x > box.x && x < box.x + box.width, name);
    assert.ok(y > box.y && y < box.y + box.height, name);
  }
  const { rightEye, leftEye, noseTip, rightMouthCorner } = landmarks!;
  assert.ok(rightEye.x < noseTip.x && noseTip.x < leftEye.x);
  assert.ok(rightEye.y < noseTip.y && noseTip.y < rightMouthCorner.y);
  const slope = Math.atan2(leftEye.y - rightEye.y, leftEye.x - rightEye.x);
  assert.ok(Math.abs(rollDegrees - slope * 180 / Math.PI) < 1e-9);
});

const ATTRIBUTES: [query: string, keys: string[]][] = [
  ["", ["expression"]],
  ["attributes=quality", ["quality"]],
  ["attributes=quality,landmarks", ["landmarks", "quality"]],
  ["attributes=actionUnits", ["actionUnitReference", "actionUnits"]],
  ["attributes=all", [
    "actionUnitReference",
    "actionUnits",
    "consistency",
    "expression",
    "gender",
    "landmarks",
    "quality",
  ]],
  ["attributes=quality&explain=evidence", ["explanation", "quality"]],
];

for (const [query, keys] of ATTRIBUTES) {
  Deno.test(`an answer to "${query}" holds ${keys.join(", ")} and no more`, async () => {
    const { faces } = await analyze(PHOTO, query);
    const always = [
      "boundingBox",
      "normalizedBoundingBox",
      "detectionScore",
      "rollDegrees",
      "provenance",
    ];
    assert.deepEqual(
      Object.keys(faces[0]!).sort(),
      [...always, ...keys].sort(),
    );
  });
}

Deno.test("maxFaces keeps the largest faces, largest first", async () => {
  const both = await analyze(TWO);
  assert.equal(both.faces.length, 2);
  const [large, small] = both.faces;
  assert.ok(large!.boundingBox.x > 256 && small!.boundingBox.x < 256);
  assert.ok(large!.boundingBox.width > 1.5 * small!.boundingBox.width);
  const one = await analyze(TWO, "maxFaces=1");
  assert.deepEqual(one.faces.map((face) => face.boundingBox), [
    large!.boundingBox,
  ]);
});

Deno.test("minDetectionConfidence=1 finds no face, and no face is no error", async () => {
  assert.deepEqual(
    (await analyze(PHOTO, "minDetectionConfidence=1")).faces,
    [],
  );
  assert.deepEqual((await analyze(fixture("coffee.jpg"))).faces, []);
});

Deno.test("every body form gives the same answer", async () => {
  const { faces } = await analyze(PHOTO, "attributes=all");
  const options = { attributes: "all" };
  const json = JSON.stringify({ image: base64(PHOTO), options });
  for (
    const response of [
      await post(
        handler,
        "/v1/analyze",
        form(PHOTO, { options: JSON.stringify(options) }),
      ),
      await post(handler, "/v1/analyze", json, {
        "content-type": "application/json",
      }),
      await post(handler, "/v1/analyze?attributes=all", PHOTO, {
        "content-type": "image/webp",
      }),
    ]
  ) assert.deepEqual((await response.json()).faces, faces);
});

Deno.test("an image's answer depends on no other image: alone, at once, between others", async () => {
  const { faces: alone } = await analyze(PHOTO, "attributes=all");
  const photos = [PHOTO, TWO, PHOTO, fixture("coffee.jpg"), PHOTO];
  const answers = await Promise.all(
    photos.map((photo) => analyze(photo, "attributes=all")),
  );
  for (const index of [0, 2, 4]) assert.deepEqual(answers[index]!.faces, alone);
  assert.equal(answers[1]!.faces.length, 2);
  assert.equal(answers[3]!.faces.length, 0);
  assert.deepEqual((await analyze(PHOTO, "attributes=all")).faces, alone);
});

Deno.test("provenance repeats the manifest and says where the face came from", async () => {
  const { name, version, sha256, license, dataLicense } = MODEL;
  const { faces } = await analyze(PHOTO);
  assert.deepEqual(faces[0]!.provenance, {
    model: name,
    version,
    sha256,
    license,
    ...(dataLicense ? { dataLicense } : {}),
    backend: "wasm",
    input: "photo",
    escalated: false,
    fallback: null,
  });
});

Deno.test("input=crop reads the whole picture as one aligned face", async () => {
  const { boundingBox: box } = (await analyze(PHOTO)).faces[0]!;
  const crop = await faceCrop({ ...box, height: box.width }, 64);
  const { faces } = await analyze(crop, "input=crop&attributes=all");
  assert.equal(faces.length, 1);
  const [face] = faces;
  assert.deepEqual(face!.boundingBox, { x: 0, y: 0, width: 64, height: 64 });
  assert.equal(face!.provenance.input, "crop");
  const [x, y] = MODEL.inputs[0]!.template!.rightEye;
  assert.deepEqual(face!.landmarks!.rightEye, { x: x * 64, y: y * 64 });
  assert.equal(face!.expression!.scores.length, LABELS.length);
});

Deno.test("timing names every stage, and Server-Timing says the same", async () => {
  const response = await post(handler, "/v1/analyze?explain=evidence", PHOTO);
  const { timing } = await response.json();
  const stages = "decode detect align classify explain remote queue total";
  assert.deepEqual(Object.keys(timing), stages.split(" ").map((s) => `${s}Ms`));
  assert.equal(timing.remoteMs, 0);
  const entries = response.headers.get("server-timing")!.split(", ");
  for (const [index, stage] of stages.split(" ").entries()) {
    const value = Number(timing[`${stage}Ms`]);
    assert.ok(value >= 0 && value <= timing.totalMs + 1e-9, stage);
    assert.equal(entries[index], `${stage};dur=${value.toFixed(1)}`);
  }
});

Deno.test("evidence maps of the grid average to the logit that the scores come from", async () => {
  const seen: Record<string, Tensor>[] = [];
  const wasm = createWasmBackend(pipeline.models);
  const backend: Backend = {
    ...wasm,
    async run(model, feeds, options) {
      const out = await wasm.run(model, feeds, options);
      if (model === MODEL.name) seen.push(out);
      return out;
    },
  };
  const { models } = pipeline;
  const engine = createEngine({ models, backend, decode, limits: LIMITS });
  await engine.analyze(PHOTO, resolveOptions({}, models, MODEL.name));
  await wasm.close();
  const logits = [...seen[0]!.logits!.data];

  const { faces } = await analyze(PHOTO, "explain=evidence");
  const { explanation, expression } = faces[0]!;
  const { grid, label, method, image } = explanation!;
  assert.equal(method, "evidence");
  assert.equal(label, expression!.label);
  assert.equal(grid.values.length, grid.width * grid.height);
  assert.deepEqual([Math.min(...grid.values), Math.max(...grid.values)], [
    0,
    1,
  ]);
  const raw = grid.values.map((v) => grid.min + v * (grid.max - grid.min));
  const mean = raw.reduce((sum, value) => sum + value, 0) / raw.length;
  const logit = logits[LABELS.indexOf(label)]!;
  assert.equal(logit, Math.max(...logits));
  assert.ok(Math.abs(mean - logit) < 1e-4, `${mean} against ${logit}`);
  const png = atob(image.replace("data:image/png;base64,", ""));
  assert.ok(png.startsWith("\x89PNG\r\n"));
});
