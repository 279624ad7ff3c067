import assert from "node:assert/strict";
import {
  createPipeline,
  type GpuOptions,
  type Pipeline,
} from "../../src/pipeline/mod.ts";
import type { AnalyzeOptions, Face } from "../../src/types.ts";
import { type Fault, type OipServer, startOipServer } from "../oip/server.ts";
import { fixture, models, withBackend } from "./support.ts";

const EDGE = "expression_mini_xception", OTHER = "expression_mien";
/** No request of any outcome. */
const NOTHING = {
  answered: 0,
  refused: 0,
  timeout: 0,
  error: 0,
  invalid_response: 0,
  overloaded: 0,
};
const photo = await fixture("astronaut.jpg");

/** The edge's own answers, to compare with. */
const alone = await createPipeline({ workers: 0, model: EDGE });
await alone.ready;
Deno.test.afterAll(() => alone.close());

async function facesOf(
  pipeline: Pipeline,
  options: AnalyzeOptions = {},
): Promise<Face[]> {
  const { faces } = await pipeline.analyze(photo.slice(), options);
  assert.ok(faces.length > 0);
  return faces;
}

/** Runs a body with a pipeline and its GPU server, which runs the same models. */
function withGpu(
  gpu: Partial<GpuOptions>,
  body: (pipeline: Pipeline, server: OipServer) => Promise<void>,
  options: Parameters<typeof createPipeline>[0] = { workers: 0 },
): Promise<void> {
  return withBackend(async (backend) => {
    const server = startOipServer(
      models.specs,
      (model, feeds) => backend.run(model, feeds),
    );
    const pipeline = await createPipeline({
      model: EDGE,
      ...options,
      gpu: { url: server.url, timeoutMs: 5000, ...gpu },
    });
    try {
      await pipeline.ready;
      await body(pipeline, server);
    } finally {
      await pipeline.close();
      await server.close();
    }
  });
}

/** Faces as another model's answer has them, but for where it ran. */
function ranOn(
  faces: Face[],
  provenance: Partial<Face["provenance"]>,
): Face[] {
  return faces.map((face) => ({
    ...face,
    provenance: { ...face.provenance, ...provenance },
  }));
}

const all = {
  attributes: "all",
  explain: "evidence",
  coverage: 0.9,
  minConfidence: 0.8,
} as const satisfies AnalyzeOptions;

Deno.test("a pipeline with a GPU server asks it nothing unless there is a reason", () =>
  withGpu({}, async (pipeline, server) => {
    assert.deepEqual(await facesOf(pipeline, all), await facesOf(alone, all));
    assert.deepEqual(server.requests, []);
    assert.equal(pipeline.gpu!.requests, 0);
  }));

for (const workers of [0, 1]) {
  Deno.test(`route=gpu gives the very answer of the edge, heatmap and label set included, ${workers} Workers`, () =>
    withGpu({}, async (pipeline) => {
      assert.deepEqual(
        await facesOf(pipeline, { ...all, route: "gpu" }),
        ranOn(await facesOf(alone, all), { backend: "gpu" }),
      );
    }, { workers }));
}

Deno.test("route=gpu sends aligned crops in one request, never the photo", () =>
  withGpu({}, async (pipeline, server) => {
    const { faces, timing } = await pipeline.analyze(photo.slice(), {
      route: "gpu",
    });
    assert.equal(server.inferences, 1);
    const [, { bytes }] = server.requests as [unknown, { bytes: number }];
    assert.ok(bytes < faces.length * 64 * 64 * 4 + 400, `${bytes} bytes`);
    assert.ok(timing.remoteMs > 0);
    assert.ok(timing.totalMs > timing.remoteMs + timing.detectMs);
    assert.deepEqual(pipeline.gpu, {
      circuits: { [EDGE]: { state: "closed", opened: 0 } },
      requests: 1,
      outcomes: { ...NOTHING, answered: 1 },
      faces: faces.length,
      escalated: 0,
      fallbacks: {},
    });
  }));

Deno.test("route=edge asks nobody, whatever the doubt", () =>
  withGpu({ escalateBelow: 1, model: OTHER }, async (pipeline, server) => {
    assert.deepEqual(
      await facesOf(pipeline, { ...all, route: "edge" }),
      await facesOf(alone, all),
    );
    assert.deepEqual(server.requests, []);
  }));

Deno.test("a doubtful face is answered by the GPU's model as that model would alone", () =>
  withGpu({ escalateBelow: 1, model: OTHER }, async (pipeline) => {
    const faces = await facesOf(pipeline, all);
    const others = await facesOf(alone, { ...all, model: OTHER });
    assert.deepEqual(
      faces.map(({ quality: _, ...face }) => face),
      ranOn(others, { backend: "gpu", escalated: true })
        .map(({ quality: _, ...face }) => face),
    );
    assert.equal(pipeline.gpu!.escalated, faces.length);
  }));

Deno.test("a face above the threshold stays at the edge, and its crop with it", async () => {
  const [{ expression }] = await facesOf(alone) as [Face];
  const escalateBelow = expression!.score;
  await withGpu({ escalateBelow, model: OTHER }, async (pipeline, server) => {
    assert.deepEqual(await facesOf(pipeline), await facesOf(alone));
    assert.deepEqual(server.requests, []);
  });
});

Deno.test("a face is not escalated to a model that cannot give what was asked", () =>
  withGpu({ escalateBelow: 1, model: OTHER }, async (pipeline, server) => {
    const options: AnalyzeOptions = { explain: "guidedBackprop" };
    assert.deepEqual(
      await facesOf(pipeline, options),
      await facesOf(alone, options),
    );
    assert.deepEqual(server.requests, []);
  }));

const FAULTS: [Fault, NonNullable<Face["provenance"]["fallback"]>["reason"]][] =
  [
    ["loading", "error"],
    ["busy", "overloaded"],
    ["broken", "error"],
    ["cut", "invalid_response"],
    ["nan", "invalid_response"],
    ["shape", "invalid_response"],
    ["hang", "timeout"],
  ];

for (const [fault, reason] of FAULTS) {
  Deno.test(`the edge's answer stands, and says ${reason}, when the server is to ${fault}`, () =>
    withGpu(
      { escalateBelow: 1, model: OTHER, timeoutMs: 200 },
      async (pipeline, server) => {
        server.fault = fault;
        const fallback = { from: "gpu", reason } as const;
        const faces = await facesOf(pipeline, all);
        assert.deepEqual(
          faces,
          ranOn(await facesOf(alone, all), { escalated: true, fallback }),
        );
        const { fallbacks, outcomes } = pipeline.gpu!;
        assert.deepEqual(fallbacks, { [reason]: faces.length });
        assert.deepEqual(outcomes, { ...NOTHING, [reason]: 1 });
        await assert.rejects(
          facesOf(pipeline, { route: "gpu" }),
          (error: Error & { code?: string }) => {
            assert.equal(error.code, "gpu_unavailable");
            assert.doesNotMatch(error.message, /models\//);
            return true;
          },
        );
      },
    ));
}

Deno.test("the circuit opens after five failures and says so; nobody waits any more", () =>
  withGpu({ escalateBelow: 1 }, async (pipeline, server) => {
    server.fault = "busy";
    for (let i = 0; i < 5; i++) await facesOf(pipeline);
    const { length } = server.requests;
    const [{ provenance }] = await facesOf(pipeline) as [Face];
    assert.deepEqual(provenance.fallback, {
      from: "gpu",
      reason: "circuit_open",
    });
    assert.equal(provenance.escalated, false);
    assert.equal(server.requests.length, length);
    assert.deepEqual(pipeline.gpu!.circuits, {
      [EDGE]: { state: "open", opened: 1 },
    });
    await assert.rejects(
      facesOf(pipeline, { route: "gpu" }),
      (error: { code?: string }) => error.code === "gpu_unavailable",
    );
  }));

/** A folder of models in which one has no file, as if only a GPU server had it. */
async function withRemoteModel(body: (folder: string) => Promise<void>) {
  const folder = await Deno.makeTempDir();
  const source = new URL("../../models/", import.meta.url).pathname;
  try {
    for (const spec of models.specs) {
      await Deno.symlink(`${source}${spec.name}`, `${folder}/${spec.name}`);
    }
    const specs = models.specs.map((spec) =>
      spec.name === OTHER ? { ...spec, file: null } : spec
    );
    await Deno.writeTextFile(`${folder}/manifest.json`, JSON.stringify(specs));
    await body(`file://${folder}/`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

for (const workers of [0, 1]) {
  Deno.test(`a model that only the GPU server has is answered there; the edge's own stands in, ${workers} Workers`, () =>
    withRemoteModel((folder) =>
      withGpu({}, async (pipeline, server) => {
        const options = { ...all, model: OTHER };
        const there = await facesOf(alone, options);
        assert.deepEqual(
          await facesOf(pipeline, options),
          ranOn(there, { backend: "gpu" }),
        );
        server.fault = "broken";
        const fallback = { from: "gpu", reason: "error" } as const;
        const instead = (await facesOf(alone, all)).map((face, index) => ({
          ...face,
          quality: there[index]!.quality,
        }));
        assert.deepEqual(
          await facesOf(pipeline, options),
          ranOn(instead as Face[], { fallback }),
        );
        for (let i = 0; i < 4; i++) await facesOf(pipeline, options);
        // Five failures open it; later a slow machine might meet its trial call.
        assert.deepEqual(
          (await facesOf(pipeline, options))[0]!.provenance.fallback,
          { from: "gpu", reason: "circuit_open" },
        );
      }, { workers, models: folder })
    ));
}

Deno.test("createPipeline() refuses GPU models that cannot serve", () =>
  withRemoteModel(async (models) => {
    const url = "http://127.0.0.1:9";
    const make = (options: Parameters<typeof createPipeline>[0]) =>
      createPipeline({ workers: 0, models, model: EDGE, ...options });
    await assert.rejects(make({ model: OTHER }), /only a GPU server has it/);
    await assert.rejects(
      make({ gpu: { url, models: ["nobody"] } }),
      /"nobody"/,
    );
    await assert.rejects(
      make({ gpu: { url, models: [EDGE], model: OTHER } }),
      /not among the GPU server's models/,
    );
    await assert.rejects(
      make({ gpu: { url, model: "face_detection_yunet" } }),
      /its task is faceDetection/,
    );
  }));

Deno.test("past half a queue, faces found here are read there; a full queue still refuses", () =>
  withGpu({}, async (pipeline) => {
    const answers = await Promise.allSettled(
      Array.from({ length: 7 }, () => facesOf(pipeline)),
    );
    const backends = answers.map((answer) =>
      answer.status === "fulfilled"
        ? answer.value[0]!.provenance.backend
        : answer.reason.code
    );
    assert.deepEqual(backends, [
      "wasm", // at once
      "wasm", // 0 of 4 waiting
      "wasm", // 1 of 4
      "wasm", // 2 of 4
      "gpu", // 3 of 4
      "overloaded",
      "overloaded",
    ]);
  }, { workers: 1, queue: 4 }));

Deno.test("a caller who leaves ends the exchange with the server", () =>
  withGpu({ escalateBelow: 1 }, async (pipeline, server) => {
    await facesOf(pipeline);
    server.fault = "hang";
    const controller = new AbortController();
    const running = pipeline.analyze(photo.slice(), {}, {
      signal: controller.signal,
    });
    while (server.requests.length < 3) await sleep(5);
    controller.abort(new Error("gone"));
    await assert.rejects(running, /gone/);
    while (!server.requests.at(-1)!.left) await sleep(5);
    assert.deepEqual(pipeline.gpu!.circuits[EDGE]!.state, "closed");
  }));

Deno.test("the deadline holds while the server hangs: the edge answers in what is left", () =>
  withGpu({ escalateBelow: 1, timeoutMs: 60_000 }, async (pipeline, server) => {
    server.fault = "hang";
    const { faces } = await pipeline.analyze(photo.slice(), {}, {
      deadlineMs: 4000,
    });
    assert.equal(faces[0]!.provenance.fallback!.reason, "timeout");
  }));

Deno.test("close() lets a face come back from the server within its grace, and no longer", () =>
  withGpu({ escalateBelow: 1 }, async (pipeline, server) => {
    await facesOf(pipeline);
    server.fault = "slow";
    const slow = facesOf(pipeline);
    while (server.together.now === 0) await sleep(5);
    const closing = pipeline.close(4000);
    await assert.rejects(
      facesOf(pipeline),
      (error: { code?: string }) => error.code === "overloaded",
    );
    const [{ provenance }] = await slow as [Face];
    assert.equal(provenance.backend, "gpu");
    await closing;
  }));

Deno.test("close() answers whoever still waits for a server that hangs", () =>
  withGpu({ escalateBelow: 1 }, async (pipeline, server) => {
    await facesOf(pipeline);
    server.fault = "hang";
    const hanging = facesOf(pipeline);
    while (server.together.now === 0) await sleep(5);
    const refused = assert.rejects(
      hanging,
      (error: { code?: string }) => error.code === "overloaded",
    );
    await pipeline.close(20);
    await refused;
  }));

function sleep(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}
