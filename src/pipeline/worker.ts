import type { ImageLimits } from "../types.ts";
import { loadCodec } from "./codecs.ts";
import { decode } from "./decode.ts";
import { createEngine, type Engine, type EngineAnswer } from "./engine.ts";
import { PipelineError } from "./error.ts";
import { ModelStore } from "./manifest.ts";
import { readModelFiles } from "./model_files.ts";
import type { Plan } from "./options.ts";
import type { Tensor } from "./postprocess.ts";
import { createWasmBackend } from "./wasm.ts";

/** One piece of work: an image, or tensors for a model. */
export type Work =
  | { kind: "job"; bytes: Uint8Array<ArrayBuffer>; plan: Plan }
  | {
    kind: "run";
    model: string;
    feeds: Record<string, Tensor>;
    outputs?: readonly string[];
  };

/** Main to Worker: start once, then one piece of work at a time. */
export type Request =
  | { kind: "start"; models: string; warm: string[]; limits: ImageLimits }
  | (Work & { id: number });

/** Worker to main: one message for each request. */
export type Reply =
  | { kind: "ready" }
  | { kind: "failed"; detail: string }
  | { kind: "answer"; id: number; answer: EngineAnswer }
  | { kind: "outputs"; id: number; outputs: Record<string, Tensor> }
  | { kind: "error"; id: number; code: PipelineError["code"]; detail: string };

let engine: Engine;

async function handle(request: Request): Promise<Reply> {
  if (request.kind === "start") {
    try {
      // Before ONNX Runtime, whose own compilation keeps what comes later waiting for a third of a second.
      await loadCodec("jpeg");
      const models = await ModelStore.open(readModelFiles(request.models));
      engine = createEngine({
        models,
        backend: createWasmBackend(models),
        decode,
        limits: request.limits,
      });
      await engine.warm(request.warm);
      return { kind: "ready" };
    } catch (error) {
      return { kind: "failed", detail: String(error) };
    }
  }
  const { id } = request;
  try {
    if (request.kind === "run") {
      const { model, feeds, outputs } = request;
      const results = engine.run(model, feeds, outputs ? { outputs } : {});
      return { kind: "outputs", id, outputs: await results };
    }
    return {
      kind: "answer",
      id,
      answer: await engine.analyze(request.bytes, request.plan),
    };
  } catch (error) {
    // A trap leaves the runtime's heap as it was: this Worker must not read another picture.
    if (error instanceof WebAssembly.RuntimeError) throw error;
    return error instanceof PipelineError
      ? { kind: "error", id, code: error.code, detail: error.message }
      : { kind: "error", id, code: "internal", detail: String(error) };
  }
}

/** The Worker's own side of its channel; the package is type-checked without Worker globals. */
const channel = self as unknown as {
  onmessage: (event: MessageEvent<Request>) => void;
  postMessage(reply: Reply, transfer: ArrayBuffer[]): void;
};

channel.onmessage = async (event) => {
  const reply = await handle(event.data);
  channel.postMessage(
    reply,
    reply.kind === "answer" ? crops(reply.answer) : [],
  );
};

/** The memory of an answer's crops, which goes over instead of being copied. */
function crops({ crops = [] }: EngineAnswer): ArrayBuffer[] {
  return crops.flatMap(({ samples }) =>
    Object.values(samples).map(({ buffer }) => buffer as ArrayBuffer)
  );
}
