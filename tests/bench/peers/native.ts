/**
 * Our engine on native ONNX Runtime, one thread: the bound for WASM. Started by main.ts.
 *
 * @module
 */
import type { Backend } from "../../../src/pipeline/backend.ts";
import { decode } from "../../../src/pipeline/decode.ts";
import { createEngine } from "../../../src/pipeline/engine.ts";
import { ModelStore } from "../../../src/pipeline/manifest.ts";
import { readModelFiles } from "../../../src/pipeline/model_files.ts";
import { resolveOptions } from "../../../src/pipeline/options.ts";
import type { Tensor } from "../../../src/pipeline/postprocess.ts";
import { serve } from "../serve.ts";

/** What is used of onnxruntime-node; not imported by name, so that only this folder's lock file has it. */
interface Ort {
  Tensor: new (type: "float32", data: Float32Array, dims: number[]) => Tensor;
  InferenceSession: {
    create(model: Uint8Array, options: unknown): Promise<{
      run(
        feeds: Record<string, Tensor>,
        outputs?: readonly string[],
      ): Promise<Record<string, Tensor>>;
      release(): Promise<void>;
    }>;
  };
}

const PACKAGE = "onnxruntime-node";
const ort: Ort = await import(PACKAGE);
const limits = { maxPixels: 24_000_000, maxSide: 12_000, minSide: 32 };

function createNativeBackend(models: ModelStore): Backend {
  const sessions = new Map<
    string,
    ReturnType<Ort["InferenceSession"]["create"]>
  >();
  async function load(model: string) {
    const options = {
      executionProviders: ["cpu"],
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
    };
    const opened = sessions.get(model) ??
      ort.InferenceSession.create(await models.bytes(model), options);
    sessions.set(model, opened);
    return await opened;
  }
  return {
    load: async (model) => void await load(model),
    async run(model, feeds, { outputs } = {}) {
      const session = await load(model);
      const tensors = Object.fromEntries(
        Object.entries(feeds).map(([name, { data, dims }]) => [
          name,
          new ort.Tensor("float32", data, [...dims]),
        ]),
      );
      return await (outputs
        ? session.run(tensors, outputs)
        : session.run(tensors));
    },
    async close() {
      for (const session of sessions.values()) await (await session).release();
    },
  };
}

const [model] = Deno.args as [string];
const models = await ModelStore.open(readModelFiles());
const backend = createNativeBackend(models);
const engine = createEngine({ models, backend, decode, limits });
await engine.warm([model]);

await serve(async (bytes, options) => {
  const plan = resolveOptions(options, models, model);
  const { faces, timing } = await engine.analyze(bytes, plan);
  return {
    faces: faces.map(({ boundingBox, detectionScore, expression }) => ({
      box: boundingBox,
      score: detectionScore,
      label: expression!.label,
    })),
    timing: { ...timing },
  };
});
await engine.close();
