import type { Backend } from "./backend.ts";
import { graphIo, type ModelStore } from "./manifest.ts";
import type { Tensor } from "./postprocess.ts";

/** A model's session, as far as it is used here. */
export interface OrtSession {
  /** Names of what it takes. */
  readonly inputNames: readonly string[];
  /** Names of what it gives. */
  readonly outputNames: readonly string[];
  /** Computes the outputs asked for, or all. */
  // deno-lint-ignore no-explicit-any
  run(feeds: any, fetches?: any): Promise<Record<string, any>>;
  /** Frees it. */
  release(): Promise<void>;
}

/** ONNX Runtime's module, as far as it is used here: `onnxruntime-web` or one like it. */
export interface Ort {
  /** Its settings, for the whole page or process. */
  readonly env: {
    logLevel?: "verbose" | "info" | "warning" | "error" | "fatal";
    readonly wasm: { numThreads?: number };
  };
  /** Holds values and their shape. */
  readonly Tensor: new (
    type: "float32",
    data: Float32Array,
    dims: readonly number[],
  ) => unknown;
  /** Makes sessions. */
  readonly InferenceSession: {
    // deno-lint-ignore no-explicit-any
    create(model: Uint8Array, options?: any): Promise<OrtSession>;
  };
}

/** The runtime's own Worker: onnxruntime-web puts Node's in its place while it starts. */
const { Worker } = globalThis;

let last: Promise<unknown> = Promise.resolve();

/** The package has one heap and stack for all its sessions: calls that overlap corrupt each other. */
function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const result = last.then(work);
  last = result.catch(() => {});
  return result;
}

/**
 * A backend on ONNX Runtime. One thread, unless the module was told otherwise before: more hang in
 * Deno. A run on wasm blocks the thread it is called on.
 *
 * @param executionProviders Who computes, the first that can.
 */
export function createOrtBackend(
  ort: Ort,
  models: ModelStore,
  executionProviders: readonly string[] = ["wasm"],
): Backend {
  ort.env.wasm.numThreads ||= 1;
  ort.env.logLevel = "error";
  const sessions = new Map<string, Promise<OrtSession>>();

  async function create(model: string): Promise<OrtSession> {
    const [name, graph] = model.split("#") as [string, string | undefined];
    const spec = models.get(name);
    const { inputs, outputs } = graph ? graphIo(spec, graph) : {
      inputs: spec.inputs.map(({ name }) => name),
      outputs: spec.outputs.map(({ name }) => name),
    };
    const bytes = await models.bytes(model);
    const session = await inTurn(() =>
      ort.InferenceSession.create(bytes, {
        executionProviders,
        graphOptimizationLevel: "all",
        logSeverityLevel: 3,
      }).finally(() => {
        if (Worker) globalThis.Worker = Worker;
      })
    );
    for (
      const [kind, names, wanted] of [
        ["input", session.inputNames, inputs],
        ["output", session.outputNames, outputs],
      ] as const
    ) {
      for (const name of wanted) {
        if (!names.includes(name)) {
          throw new Error(
            `Cannot use ${model}: its graph has no ${kind} "${name}"`,
          );
        }
      }
    }
    return session;
  }

  function session(model: string): Promise<OrtSession> {
    const known = sessions.get(model);
    if (known) return known;
    const created = create(model);
    sessions.set(model, created);
    created.catch(() => sessions.delete(model));
    return created;
  }

  return {
    async load(model) {
      await session(model);
    },
    async run(model, feeds, options = {}) {
      const ready = await session(model);
      const tensors = Object.fromEntries(
        Object.entries(feeds).map(([name, tensor]) => [
          name,
          new ort.Tensor("float32", tensor.data, tensor.dims),
        ]),
      );
      const results = await inTurn(async () => {
        options.signal?.throwIfAborted();
        return await (options.outputs
          ? ready.run(tensors, options.outputs)
          : ready.run(tensors));
      });
      const out: Record<string, Tensor> = {};
      for (const [name, value] of Object.entries(results)) {
        out[name] = { data: value.data as Float32Array, dims: value.dims };
      }
      return out;
    },
    async close() {
      const open = await Promise.allSettled(sessions.values());
      sessions.clear();
      for (const result of open) {
        if (result.status === "fulfilled") {
          await inTurn(() => result.value.release());
        }
      }
    },
  };
}
