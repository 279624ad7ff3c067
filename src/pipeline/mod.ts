/**
 * Image in, faces out. Knows nothing of HTTP.
 *
 * @module
 */
import type { Analysis, AnalyzeOptions, ImageLimits } from "../types.ts";
import { PipelineError } from "./error.ts";
import { type ModelSpec, ModelStore } from "./manifest.ts";
import { MODELS_URL, readModelFiles } from "./model_files.ts";
import { resolveOptions } from "./options.ts";
import { Pool, type PoolState } from "./pool.ts";

export { PipelineError } from "./error.ts";
export {
  type Calibration,
  type Metric,
  type ModelFile,
  type ModelSpec,
  ModelStore,
  type OutputSpec,
} from "./manifest.ts";
export type { PoolState } from "./pool.ts";

/** How a pipeline is set up; every value has a default. */
export interface PipelineOptions {
  /** Workers; 0 analyses in this thread, where a deadline is only noticed at the end. @default {1} */
  workers?: number;
  /** Images that may wait per Worker. @default {4} */
  queue?: number;
  /** The expression model that `auto` means. @default {"expression_mini_xception"} */
  model?: string;
  /** Models loaded before `ready`. @default {[model]} */
  preload?: string[];
  /** Milliseconds an analysis may take, waiting included. @default {10_000} */
  deadlineMs?: number;
  /** Limits on an image. @default {IMAGE_LIMITS} */
  limits?: Partial<ImageLimits>;
  /** Where `manifest.json` and the model files lie. */
  models?: URL | string;
}

/** Per-call settings. */
export interface CallOptions {
  /** Takes the job back while it still waits. */
  signal?: AbortSignal;
  /** Echoed in the answer. @default {crypto.randomUUID()} */
  requestId?: string;
  /** Milliseconds left for this call, where less than the pipeline's. */
  deadlineMs?: number;
}

/** Finds faces and reads their expressions. */
export interface Pipeline {
  /** The models at hand. */
  readonly models: ModelStore;
  /** The model that `auto` means. */
  readonly model: string;
  /** Resolves when models are loaded and warm; rejects when they cannot be. */
  readonly ready: Promise<void>;
  /** Workers and queue, or undefined when the pipeline runs in this thread. */
  readonly state: PoolState | undefined;
  /**
   * Analyses one image. The bytes are handed over: do not use them afterwards.
   *
   * @throws {PipelineError} with a code of the contract
   */
  analyze(
    bytes: Uint8Array<ArrayBuffer>,
    options?: AnalyzeOptions,
    call?: CallOptions,
  ): Promise<Analysis>;
  /** Takes no more work, lets accepted work finish for `graceMs`, and frees everything. */
  close(graceMs?: number): Promise<void>;
}

/** Default limits on an image. */
export const IMAGE_LIMITS: ImageLimits = {
  maxPixels: 24_000_000,
  maxSide: 12_000,
  minSide: 32,
};

/** The model that `auto` means unless the pipeline is told otherwise. */
export const DEFAULT_MODEL = "expression_mini_xception";

/**
 * Sets up a pipeline: Workers, each with its own sessions, or an engine in this thread.
 *
 * @throws {RangeError} when `model` or `preload` names no model of the manifest
 */
export async function createPipeline(
  options: PipelineOptions = {},
): Promise<Pipeline> {
  const { workers = 1, queue = 4, model = DEFAULT_MODEL, deadlineMs = 10_000 } =
    options;
  const limits = { ...IMAGE_LIMITS, ...options.limits };
  const base = options.models ?? MODELS_URL;
  const models = await ModelStore.open(readModelFiles(base));
  const preload = [...new Set([model, ...(options.preload ?? [])])];
  for (const name of preload) expressionModel(models, name);

  const run = workers > 0
    ? startPool({ workers, queue, limits, base, preload })
    : await startEngine(models, limits, preload);
  return {
    models,
    model,
    ready: run.ready,
    get state() {
      return run.state();
    },
    async analyze(bytes, wanted = {}, call = {}) {
      const plan = resolveOptions(wanted, models, model);
      const left = Math.min(deadlineMs, call.deadlineMs ?? deadlineMs);
      const answer = await run.analyze(bytes, plan, {
        deadlineMs: left,
        ...(call.signal ? { signal: call.signal } : {}),
      });
      return { requestId: call.requestId ?? crypto.randomUUID(), ...answer };
    },
    close: (graceMs = 0) => run.close(graceMs),
  };
}

interface Runner {
  ready: Promise<void>;
  state(): PoolState | undefined;
  analyze: Pool["run"];
  close(graceMs: number): Promise<void>;
}

function startPool(options: {
  workers: number;
  queue: number;
  limits: ImageLimits;
  base: URL | string;
  preload: string[];
}): Runner {
  const pool = new Pool({
    size: options.workers,
    queue: options.queue,
    spawn: () =>
      new Worker(new URL("./worker.ts", import.meta.url), { type: "module" }),
    start: {
      kind: "start",
      models: String(options.base),
      warm: options.preload,
      limits: options.limits,
    },
  });
  return {
    ready: pool.ready,
    state: () => pool.state,
    analyze: async (bytes, plan, job) => await pool.run(bytes, plan, job),
    close: (graceMs) => pool.close(graceMs),
  };
}

async function startEngine(
  models: ModelStore,
  limits: ImageLimits,
  preload: string[],
): Promise<Runner> {
  const [{ createEngine }, { decode }, { createWasmBackend }] = await Promise
    .all([
      import("./engine.ts"),
      import("./decode.ts"),
      import("./wasm.ts"),
    ]);
  const engine = createEngine({
    models,
    backend: createWasmBackend(models),
    decode,
    limits,
  });
  const ready = engine.warm(preload);
  ready.catch(() => {});
  return {
    ready,
    state: () => undefined,
    analyze: async (bytes, plan, job) => {
      const start = performance.now();
      const answer = await engine.analyze(bytes, plan, job.signal);
      if (performance.now() - start <= job.deadlineMs) return answer;
      throw new PipelineError(
        "deadline_exceeded",
        "The analysis took longer than allowed: send a smaller image",
      );
    },
    close: () => engine.close(),
  };
}

function expressionModel(models: ModelStore, name: string): ModelSpec {
  const spec = models.get(name);
  if (spec.task !== "expression") {
    throw new RangeError(
      `Cannot use ${name} for expressions: its task is ${spec.task}`,
    );
  }
  return spec;
}
