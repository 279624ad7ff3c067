import * as ort from "onnxruntime-web";
import type { Backend } from "./backend.ts";
import type { ModelStore } from "./manifest.ts";
import { createOrtBackend } from "./ort_backend.ts";

/**
 * A backend on onnxruntime-web's wasm build, one thread. A run blocks the thread it is called on,
 * so the server calls it in Workers only.
 */
export function createWasmBackend(models: ModelStore): Backend {
  ort.env.wasm.numThreads = 1;
  return createOrtBackend(ort, models);
}
