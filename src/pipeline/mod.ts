/**
 * Image in, faces out. Knows nothing of HTTP.
 *
 * @module
 */
import type { Analysis, AnalyzeOptions, Face, ImageLimits } from "../types.ts";
import { DEFAULT_MODEL, IMAGE_LIMITS } from "./defaults.ts";
import { deferred } from "./deferred.ts";
import { PipelineError } from "./error.ts";
import type { KnownFaces, Look } from "./look.ts";
import { type ModelSpec, ModelStore } from "./manifest.ts";
import { MODELS_URL, readModelFiles } from "./model_files.ts";
import {
  type Plan,
  resolveOptions,
  toDetection,
  withNeutral,
} from "./options.ts";
import { type JobOptions, Pool, type PoolState } from "./pool.ts";
import type { Tensor } from "./postprocess.ts";
import { type GpuOptions, GpuRoute, type GpuState } from "./route.ts";
import { traced, traceStages } from "./tracing.ts";

export { DEFAULT_MODEL, IMAGE_LIMITS } from "./defaults.ts";
export { PipelineError } from "./error.ts";
export type { KnownFace, KnownFaces, Look } from "./look.ts";
export type { Sighting } from "./track.ts";
export {
  type Calibration,
  type Metric,
  type ModelFile,
  type ModelSpec,
  ModelStore,
  type OutputSpec,
  type Percentiles,
} from "./manifest.ts";
export type { CircuitState } from "./circuit.ts";
export type { PoolState } from "./pool.ts";
export type { Tensor } from "./postprocess.ts";
export type { RemoteOptions } from "./remote.ts";
export type { GpuOptions, GpuState } from "./route.ts";

/** How a pipeline is set up; every value has a default. */
export interface PipelineOptions {
  /**
   * Workers; 0 analyses in this thread, where a deadline is only noticed at the end. Node has none
   * of the kind that is needed. @default {1}, in Node {0}
   */
  workers?: number;
  /** Images that may wait per Worker. @default {4} */
  queue?: number;
  /** The expression model that `auto` means. @default {"expression_mien"} */
  model?: string;
  /** Models loaded before `ready`. @default {[model]} */
  preload?: string[];
  /** Milliseconds an analysis may take, waiting included. @default {10_000} */
  deadlineMs?: number;
  /** Limits on an image. @default {IMAGE_LIMITS} */
  limits?: Partial<ImageLimits>;
  /** Where `manifest.json` and the model files lie. */
  models?: URL | string;
  /** A GPU server that may be asked; absent means none is. */
  gpu?: GpuOptions;
}

/** Per-call settings. */
export interface CallOptions {
  /** Takes the job back while it still waits. */
  signal?: AbortSignal;
  /** Echoed in the answer. @default {crypto.randomUUID()} */
  requestId?: string;
  /** The same person with a relaxed face: the reference for action units. */
  neutral?: Uint8Array;
  /** Milliseconds left for this call, where less than the pipeline's. */
  deadlineMs?: number;
  /**
   * Faces of the frame before, with their landmarks. Where all are found again by these, the
   * detector does not run, and no new face is found.
   */
  follow?: readonly Face[];
  /** In a stream: faces of the frames before, whose calm looks serve action units as references. */
  known?: KnownFaces;
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
  /** Circuit breakers and counts of the GPU route, or undefined when there is none. */
  readonly gpu?: GpuState | undefined;
  /**
   * Analyses one image; with `known` and action units the answer has `looks`, one per face, for the
   * frames that follow. The bytes are handed over: do not use them afterwards.
   *
   * @throws {PipelineError} with a code of the contract
   */
  analyze(
    bytes: Uint8Array<ArrayBuffer>,
    options?: AnalyzeOptions,
    call?: CallOptions,
  ): Promise<Analysis & { looks?: readonly Look[] }>;
  /**
   * Runs one model of the manifest on tensors as they are. Nothing is checked: what does not fit
   * the model rejects.
   *
   * @throws {PipelineError} with a code of the contract
   */
  run(
    model: string,
    feeds: Record<string, Tensor>,
    call?: Pick<CallOptions, "signal" | "deadlineMs"> & {
      outputs?: readonly string[];
    },
  ): Promise<Record<string, Tensor>>;
  /** Takes no more work, lets accepted work finish for `graceMs`, and frees everything. */
  close(graceMs?: number): Promise<void>;
}

/**
 * Sets up a pipeline: Workers, each with its own sessions, or an engine in this thread.
 *
 * @throws {RangeError} when `model`, `preload` or `gpu` names no model that can serve so
 */
export async function createPipeline(
  options: PipelineOptions = {},
): Promise<Pipeline> {
  const { queue = 4, model = DEFAULT_MODEL, deadlineMs = 10_000 } = options;
  const { workers = globalThis.Deno ? 1 : 0 } = options;
  const limits = { ...IMAGE_LIMITS, ...options.limits };
  const base = options.models ?? MODELS_URL;
  const models = await ModelStore.open(readModelFiles(base));
  const preload = [...new Set([model, ...(options.preload ?? [])])];
  for (const name of preload) edgeModel(models, name);

  const run = workers > 0
    ? startPool({ workers, queue, limits, base, preload })
    : await startEngine(models, limits, preload);
  const route = options.gpu
    ? new GpuRoute({
      models,
      gpu: options.gpu,
      standIn: model,
      edge: ({ deadline, signal }) => ({
        run: (name, feeds, { outputs } = {}) =>
          run.model(name, feeds, {
            deadlineMs: deadline - performance.now(),
            accepted: true,
            ...(outputs ? { outputs } : {}),
            ...(signal ? { signal } : {}),
          }),
      }),
    })
    : undefined;
  if (options.gpu?.model) expressionModel(models, options.gpu.model);
  const underWay = new Set<Promise<unknown>>();
  let closed = false;

  /** Counts work that may pause between two jobs, which the pool cannot see. */
  async function track<T>(work: Promise<T>): Promise<T> {
    underWay.add(work);
    try {
      return await work;
    } finally {
      underWay.delete(work);
    }
  }

  return {
    models,
    model,
    ready: run.ready,
    get state() {
      return run.state();
    },
    get gpu() {
      return route?.state;
    },
    async analyze(bytes, wanted = {}, call = {}) {
      const attributes = { "mien.image.bytes": bytes.length };
      return await traced("analyze", { attributes }, async (span) => {
        const { known, neutral } = call;
        const resolved = resolveOptions(wanted, models, model, route?.models);
        const plan = withNeutral(
          known ? { ...resolved, known } : resolved,
          neutral,
        );
        if (span.isRecording()) plan.trace = true;
        const left = Math.min(deadlineMs, call.deadlineMs ?? deadlineMs);
        const follow = call.follow?.flatMap(toDetection) ?? [];
        if (follow.length > 0) plan.follow = follow;
        const { signal } = call;
        const job = { deadlineMs: left, ...(signal ? { signal } : {}) };
        const analyze = async (plan: Plan) => {
          const { intervals, ...answer } = await run.analyze(bytes, plan, job);
          if (intervals) traceStages(intervals, answer.timing);
          return answer;
        };
        if (route && closed) throw stopping();
        const answer = route && plan.route !== "edge"
          ? await track(route.analyze(plan, {
            load: loadOf(run.state()),
            deadline: performance.now() + left,
            ...(signal ? { signal } : {}),
          }, analyze))
          : await analyze(plan);
        span.setAttributes({
          "mien.image.width": answer.image.width,
          "mien.image.height": answer.image.height,
          "mien.faces": answer.faces.length,
        });
        return { requestId: call.requestId ?? crypto.randomUUID(), ...answer };
      });
    },
    async run(name, feeds, call = {}) {
      const left = Math.min(deadlineMs, call.deadlineMs ?? deadlineMs);
      return await traced(
        "infer",
        {},
        () => run.model(name, feeds, { ...call, deadlineMs: left }),
      );
    },
    async close(graceMs = 0) {
      closed = true;
      const start = performance.now();
      if (graceMs > 0) await settled([...underWay], graceMs);
      route?.close();
      await run.close(Math.max(0, graceMs - (performance.now() - start)));
    },
  };
}

/** Waits for all of the work, but no longer than so many milliseconds. */
async function settled(work: Promise<unknown>[], ms: number): Promise<void> {
  const late = deferred<void>();
  const timer = setTimeout(late.resolve, ms);
  await Promise.race([Promise.allSettled(work), late.promise]);
  clearTimeout(timer);
}

/** Share of the queue in use. */
function loadOf(state: PoolState | undefined): number {
  return state && state.capacity > 0 ? state.waiting / state.capacity : 0;
}

interface Runner {
  ready: Promise<void>;
  state(): PoolState | undefined;
  analyze: Pool["run"];
  model: Pool["runModel"];
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
    model: async (name, feeds, job) => await pool.runModel(name, feeds, job),
    close: (graceMs) => pool.close(graceMs),
  };
}

async function startEngine(
  models: ModelStore,
  limits: ImageLimits,
  preload: string[],
): Promise<Runner> {
  const [{ createEngine }, { decode }, { createWasmBackend }, { loadCodec }] =
    await Promise.all([
      import("./engine.ts"),
      import("./decode.ts"),
      import("./wasm.ts"),
      import("./codecs.ts"),
    ]);
  // Before ONNX Runtime, whose own compilation keeps what comes later waiting for a third of a second.
  await loadCodec("jpeg");
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
    analyze: (bytes, plan, job) =>
      inTime(job, () => engine.analyze(bytes, plan, job.signal)),
    model: (name, feeds, job) =>
      inTime(job, () => engine.run(name, feeds, job)),
    close: () => engine.close(),
  };
}

/** A deadline in this thread, where it can only be noticed at the end. */
async function inTime<T>(
  { deadlineMs }: JobOptions,
  work: () => Promise<T>,
): Promise<T> {
  const start = performance.now();
  const result = await work();
  if (performance.now() - start <= deadlineMs) return result;
  throw new PipelineError(
    "deadline_exceeded",
    "The analysis took longer than allowed: send a smaller image",
  );
}

function stopping(): PipelineError {
  return new PipelineError("overloaded", "The server is shutting down: retry");
}

function edgeModel(models: ModelStore, name: string): void {
  if (expressionModel(models, name).file !== null) return;
  throw new RangeError(
    `Cannot run ${name} here: only a GPU server has it; name it per request, or as gpu.model`,
  );
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
