import assert from "node:assert/strict";
import type { Backend } from "../../src/pipeline/backend.ts";
import { decode } from "../../src/pipeline/decode.ts";
import {
  createEngine,
  type Engine,
  type EngineAnswer,
} from "../../src/pipeline/engine.ts";
import { readHeader } from "../../src/pipeline/header.ts";
import { type RawImage, warp } from "../../src/pipeline/image.ts";
import { IMAGE_LIMITS } from "../../src/pipeline/mod.ts";
import type { Plan } from "../../src/pipeline/options.ts";
import { encodePng } from "../../src/pipeline/png.ts";
import { createWasmBackend } from "../../src/pipeline/wasm.ts";
import type { QualityIssue } from "../../src/types.ts";
import { fixture, models } from "./support.ts";

const MODEL = "expression_mini_xception";

function plan(options: Partial<Plan> = {}): Plan {
  return {
    attributes: ["expression", "landmarks", "quality"],
    model: MODEL,
    explain: "none",
    maxFaces: 20,
    minDetectionConfidence: 0.6,
    minConfidence: 0,
    input: "photo",
    route: "auto",
    ...options,
  };
}

async function withEngine(
  body: (engine: Engine) => Promise<void>,
  wrap: (backend: Backend) => Backend = (backend) => backend,
): Promise<void> {
  const backend = wrap(createWasmBackend(models));
  const engine = createEngine({
    models,
    backend,
    decode,
    limits: IMAGE_LIMITS,
  });
  try {
    await body(engine);
  } finally {
    await engine.close();
  }
}

async function astronaut(): Promise<RawImage> {
  const bytes = await fixture("astronaut.jpg");
  return await decode(bytes, readHeader(bytes, IMAGE_LIMITS));
}

/** A picture resampled through a map given per axis. */
function remap(
  image: RawImage,
  width: number,
  height: number,
  value: (x: number, y: number, c: number) => number,
): RawImage {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++) data[i++] = value(x, y, c);
    }
  }
  return { ...image, data, width, height };
}

function pixel(
  { data, width }: RawImage,
  x: number,
  y: number,
  c: number,
): number {
  return data[(Math.round(y) * width + Math.round(x)) * 3 + c] ?? 0;
}

function scaled(image: RawImage, share: number): RawImage {
  const side = Math.round(image.width * share), unit = image.width / side;
  const map = { a: unit, b: 0, tx: unit / 2 - 0.5, ty: unit / 2 - 0.5 };
  const planes = warp(image, map, side, side, "RGB");
  return remap(
    image,
    side,
    side,
    (x, y, c) => Math.round(planes[(c * side + y) * side + x]!),
  );
}

const degraded: [QualityIssue, (image: RawImage) => RawImage][] = [
  ["faceTooSmall", (image) => scaled(image, 0.3)],
  ["blurred", (image) => scaled(scaled(image, 0.2), 5)],
  [
    "extremePose",
    (image) => remap(image, 171, 512, (x, y, c) => pixel(image, 3 * x, y, c)),
  ],
  [
    "tooDark",
    (image) => remap(image, 512, 512, (x, y, c) => 0.2 * pixel(image, x, y, c)),
  ],
  [
    "overexposed",
    (image) =>
      remap(
        image,
        512,
        512,
        (x, y, c) => Math.min(255, 2 * pixel(image, x, y, c)),
      ),
  ],
  [
    "truncated",
    (image) => remap(image, 300, 300, (x, y, c) => pixel(image, x + 212, y, c)),
  ],
];

Deno.test("quality finds nothing wrong with a clean photo", () =>
  withEngine(async (engine) => {
    const { faces } = await engine.analyze(
      await encodePng(await astronaut()),
      plan(),
    );
    assert.deepEqual(faces[0]!.quality!.issues, []);
    assert.ok(faces[0]!.quality!.score > 0.5);
  }));

for (const [issue, degrade] of degraded) {
  Deno.test(`quality reports ${issue} on a copy degraded so`, () =>
    withEngine(async (engine) => {
      const clean = await astronaut();
      const bytes = await encodePng(degrade(clean));
      const options = plan({ minDetectionConfidence: 0.3 });
      const { faces } = await engine.analyze(bytes, options);
      const before = await engine.analyze(await encodePng(clean), options);
      assert.ok(faces.length > 0);
      assert.ok(
        faces[0]!.quality!.issues.includes(issue),
        faces[0]!.quality!.issues.join(),
      );
      assert.ok(faces[0]!.quality!.score < before.faces[0]!.quality!.score);
    }));
}

Deno.test("analyze() reads the astronaut as happy, with every field in place", () =>
  withEngine(async (engine) => {
    const answer = await engine.analyze(await fixture("astronaut.jpg"), plan());
    assert.deepEqual(answer.image, {
      width: 512,
      height: 512,
      orientation: 1,
      type: "image/jpeg",
    });
    const [face, ...others] = answer.faces;
    assert.equal(others.length, 0);
    assert.equal(face!.expression!.label, "happiness");
    const sum = face!.expression!.scores.reduce(
      (total, { score }) => total + score,
      0,
    );
    assert.ok(Math.abs(sum - 1) < 1e-6);
    assert.ok(Math.abs(face!.rollDegrees) < 8);
    assert.ok(face!.landmarks!.noseTip.y > face!.landmarks!.leftEye.y);
    assert.equal(face!.provenance.model, MODEL);
  }));

Deno.test("analyze() answers no faces for a photo without any", () =>
  withEngine(async (engine) => {
    const answer = await engine.analyze(await fixture("coffee.jpg"), plan());
    assert.deepEqual(answer.faces, []);
  }));

Deno.test("analyze() leaves out what was not asked for and runs no classifier for it", () => {
  const runs: string[] = [];
  return withEngine(async (engine) => {
    const { faces } = await engine.analyze(
      await fixture("astronaut.jpg"),
      plan({ attributes: ["landmarks"] }),
    );
    assert.deepEqual([faces[0]!.expression, faces[0]!.quality], [
      undefined,
      undefined,
    ]);
    assert.ok(faces[0]!.landmarks);
    assert.ok(!runs.includes(MODEL));
  }, (backend) => ({
    ...backend,
    run: (model, feeds, options) => {
      runs.push(model);
      return backend.run(model, feeds, options);
    },
  }));
});

Deno.test("analyze() sends all faces through a model as one batch", () => {
  const batches: number[] = [];
  return withEngine(async (engine) => {
    const image = await astronaut();
    const two = remap(
      image,
      1024,
      512,
      (x, y, c) => pixel(image, x % 512, y, c),
    );
    const { faces } = await engine.analyze(await encodePng(two), plan());
    assert.equal(faces.length, 2);
    assert.deepEqual(batches, [2]);
  }, (backend) => ({
    ...backend,
    run: (model, feeds, options) => {
      if (model === MODEL) batches.push(Object.values(feeds)[0]!.dims[0]!);
      return backend.run(model, feeds, options);
    },
  }));
});

function summary({ faces }: EngineAnswer) {
  return faces.map(({ boundingBox, expression, landmarks }) => ({
    boundingBox,
    expression,
    landmarks,
  }));
}

Deno.test("analyze() gives the same answer whatever else is going on", () =>
  withEngine(async (engine) => {
    const photo = await fixture("astronaut.jpg"),
      other = await fixture("coffee.jpg");
    const alone = summary(await engine.analyze(photo, plan()));
    const together = await Promise.all(
      [photo, other, photo].map((bytes) => engine.analyze(bytes, plan())),
    );
    assert.deepEqual(summary(together[0]!), alone);
    assert.deepEqual(summary(together[2]!), alone);
  }));

Deno.test("analyze() of maxFaces keeps the largest", () =>
  withEngine(async (engine) => {
    const image = await astronaut(), small = scaled(image, 0.6);
    const both = remap(
      image,
      900,
      512,
      (x, y, c) =>
        x < 512
          ? pixel(image, x, y, c)
          : x - 520 >= 0 && x - 520 < 307 && y < 307
          ? pixel(small, x - 520, y, c)
          : 128,
    );
    const bytes = await encodePng(both);
    assert.equal((await engine.analyze(bytes, plan())).faces.length, 2);
    const { faces } = await engine.analyze(bytes, plan({ maxFaces: 1 }));
    assert.equal(faces.length, 1);
    assert.ok(faces[0]!.boundingBox.x < 400);
  }));

Deno.test("analyze() of the same photo in all sizes finds the same face", () =>
  withEngine(async (engine) => {
    const image = await astronaut();
    for (const share of [0.5, 1, 2.5]) {
      const bytes = await encodePng(scaled(image, share));
      const { faces } = await engine.analyze(bytes, plan());
      assert.equal(faces.length, 1, `at ${share}`);
      const { x, y } = faces[0]!.landmarks!.noseTip;
      assert.ok(
        Math.hypot(x / share - 224, y / share - 130) < 7,
        `at ${share}: ${x}, ${y}`,
      );
      assert.equal(faces[0]!.expression!.label, "happiness");
    }
  }));

Deno.test("analyze() explains by evidence: the grid gives back the winning logit", () =>
  withEngine(async (engine) => {
    const { faces } = await engine.analyze(
      await fixture("astronaut.jpg"),
      plan({ explain: "evidence" }),
    );
    const { grid, method, label, image } = faces[0]!.explanation!;
    assert.deepEqual([method, label], [
      "evidence",
      faces[0]!.expression!.label,
    ]);
    assert.equal(grid.values.length, grid.width * grid.height);
    assert.deepEqual([Math.min(...grid.values), Math.max(...grid.values)], [
      0,
      1,
    ]);
    const raw = grid.values.map((value) =>
      grid.min + value * (grid.max - grid.min)
    );
    const logit = raw.reduce((sum, value) => sum + value, 0) / raw.length;
    assert.ok(Number.isFinite(logit) && grid.min < logit && logit < grid.max);
    assert.match(image, /^data:image\/png;base64,iVBORw0KGgo/);
  }));

Deno.test("analyze() reads gender only when asked, and names the data's terms", () =>
  withEngine(async (engine) => {
    const bytes = await fixture("astronaut.jpg");
    const [plain] = (await engine.analyze(bytes, plan())).faces;
    assert.equal(plain!.gender, undefined);
    assert.doesNotMatch(plain!.provenance.dataLicense!, /research/);
    const options = plan({ attributes: ["gender"] });
    const [face] = (await engine.analyze(bytes, options)).faces;
    assert.equal(face!.gender!.label, "woman");
    assert.ok(face!.gender!.score > 0.5 && face!.gender!.score <= 1);
    assert.equal(face!.expression, undefined);
    assert.match(face!.provenance.dataLicense!, /research/);
  }));

Deno.test("analyze() explains by guided backpropagation, face by face", () =>
  withEngine(async (engine) => {
    const image = await astronaut();
    const two = remap(image, 1024, 512, (x, y, c) => {
      const value = pixel(image, x % 512, y, c);
      return x < 512 ? value : 0.6 * value;
    });
    const { faces, timing } = await engine.analyze(
      await encodePng(two),
      plan({ explain: "guidedBackprop" }),
    );
    assert.equal(faces.length, 2);
    assert.ok(timing.explainMs > 0);
    for (const { explanation, expression } of faces) {
      const { grid, method, label } = explanation!;
      assert.deepEqual([method, label], ["guidedBackprop", expression!.label]);
      assert.deepEqual([grid.width, grid.height], [64, 64]);
      assert.ok(grid.min >= 0 && grid.max > grid.min);
      assert.deepEqual(
        [Math.min(...grid.values), Math.max(...grid.values)],
        [0, 1],
      );
    }
    const [a, b] = faces.map((face) => face.explanation!.grid.values);
    assert.notDeepEqual(a, b);
  }));

const PATT_LITE = { gradCam: 6, attention: 2, evidence: 2 } as const;
for (const method of ["gradCam", "attention", "evidence"] as const) {
  const side = PATT_LITE[method];
  Deno.test(`analyze() explains PAtt-Lite by ${method}, face by face`, () =>
    withEngine(async (engine) => {
      const image = await astronaut();
      const options = plan({ model: "expression_patt_lite", explain: method });
      const two = remap(image, 1024, 512, (x, y, c) => {
        const value = pixel(image, x % 512, y, c);
        return x < 512 ? value : 0.6 * value;
      });
      const { faces } = await engine.analyze(await encodePng(two), options);
      assert.equal(faces.length, 2);
      for (const { explanation, provenance } of faces) {
        assert.equal(provenance.model, "expression_patt_lite");
        const { grid, label, ...rest } = explanation!;
        assert.equal(rest.method, method);
        assert.equal(typeof label, "string");
        assert.deepEqual([grid.width, grid.height], [side, side]);
        assert.equal(grid.values.length, side * side);
        const raw = grid.values.map((v) =>
          grid.min + v * (grid.max - grid.min)
        );
        if (method === "gradCam") assert.ok(grid.min >= 0 && grid.max > 0);
        if (method === "attention") {
          assert.ok(Math.abs(raw.reduce((a, b) => a + b) - 1) < 1e-4);
        }
      }
      const [a, b] = faces.map((face) => face.explanation!.grid.values);
      assert.notDeepEqual(a, b);
    }));
}

Deno.test("analyze() of a crop skips detection and says so", () =>
  withEngine(async (engine) => {
    const { data } = { data: new Uint8Array(64 * 64).fill(99) };
    const bytes = await encodePng({ data, width: 64, height: 64, channels: 1 });
    const { faces, timing } = await engine.analyze(
      bytes,
      plan({ input: "crop" }),
    );
    assert.equal(faces.length, 1);
    assert.equal(timing.detectMs, 0);
    assert.equal(faces[0]!.provenance.input, "crop");
    assert.deepEqual(faces[0]!.boundingBox, {
      x: 0,
      y: 0,
      width: 64,
      height: 64,
    });
  }));

Deno.test("analyze() of a crop gives what the photo gives for the same face", () =>
  withEngine(async (engine) => {
    const photo = await engine.analyze(await fixture("astronaut.jpg"), plan());
    const { align } = await import("../../src/pipeline/preprocess.ts");
    const input = models.get(MODEL).inputs[0]!;
    const map = align(photo.faces[0]!.landmarks!, input.template!, 64);
    const gray = warp(await astronaut(), map, 64, 64, "gray");
    const bytes = await encodePng({
      data: Uint8Array.from(gray, (value) => Math.round(value)),
      width: 64,
      height: 64,
      channels: 1,
    });
    const crop = await engine.analyze(bytes, plan({ input: "crop" }));
    const [a, b] = [photo, crop].map((answer) =>
      answer.faces[0]!.expression!.scores
    );
    for (const { label, score } of a!) {
      const other = b!.find((entry) => entry.label === label)!.score;
      assert.ok(
        Math.abs(score - other) < 0.02,
        `${label}: ${score} and ${other}`,
      );
    }
  }));

Deno.test("analyze() refuses a crop that is not square", () =>
  withEngine(async (engine) => {
    const image = {
      data: new Uint8Array(64 * 48),
      width: 64,
      height: 48,
      channels: 1,
    } as const;
    await assert.rejects(
      engine.analyze(await encodePng(image), plan({ input: "crop" })),
      /square picture.*64x48/,
    );
  }));

Deno.test("analyze() judges quality alike whatever the model's input size", () =>
  withEngine(async (engine) => {
    const bytes = await fixture("astronaut.jpg");
    const [a, b] = await Promise.all(
      [MODEL, "expression_mien"].map(async (model) =>
        (await engine.analyze(bytes, plan({ model }))).faces[0]!
      ),
    );
    assert.equal(b!.provenance.model, "expression_mien");
    assert.equal(b!.expression!.label, "happiness");
    for (const key of ["score", "brightness", "sharpness"] as const) {
      assert.ok(Math.abs(a!.quality![key] - b!.quality![key]) < 1e-6, key);
    }
  }));

Deno.test("analyze() stops at an aborted signal", () =>
  withEngine(async (engine) => {
    const signal = AbortSignal.abort(new Error("enough"));
    const bytes = await fixture("astronaut.jpg");
    await assert.rejects(engine.analyze(bytes, plan(), signal), /enough/);
  }));

Deno.test("analyze() refuses images past the limits before any codec runs", () =>
  withEngine(async (engine) => {
    const bytes = await fixture("astronaut.jpg");
    const code = (wanted: string) => (error: unknown) =>
      (error as { code?: string }).code === wanted;
    await assert.rejects(
      engine.analyze(new Uint8Array(3), plan()),
      code("unsupported_image"),
    );
    const strict = createEngine({
      models,
      backend: createWasmBackend(models),
      decode: () => assert.fail("the codec must not run"),
      limits: { ...IMAGE_LIMITS, maxPixels: 1000 },
    });
    await assert.rejects(
      strict.analyze(bytes, plan()),
      code("image_too_large"),
    );
    await strict.close();
  }));

Deno.test("warm() loads and runs what a plain analysis needs", () => {
  const runs = new Set<string>();
  return withEngine(async (engine) => {
    await engine.warm([MODEL]);
    assert.deepEqual(
      [...runs].sort(),
      [
        MODEL,
        models.forTask("faceDetection").name,
        models.forTask("faceLandmarks").name,
      ].sort(),
    );
  }, (backend) => ({
    ...backend,
    run: (model, feeds, options) => {
      runs.add(model);
      return backend.run(model, feeds, options);
    },
  }));
});
