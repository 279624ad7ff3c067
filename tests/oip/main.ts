/**
 * The strict server as a process of its own, over the WASM backend, so that it can be killed.
 *
 *     deno run -A tests/oip/main.ts PORT
 *
 * @module
 */
import { ModelStore } from "../../src/pipeline/manifest.ts";
import { readModelFiles } from "../../src/pipeline/model_files.ts";
import { createWasmBackend } from "../../src/pipeline/wasm.ts";
import { startOipServer } from "./server.ts";

const models = await ModelStore.open(readModelFiles());
const backend = createWasmBackend(models);
await backend.load("expression_mien");
const { url } = startOipServer(
  models.specs,
  (model, feeds) => backend.run(model, feeds),
  Number(Deno.args[0] ?? 0),
);
console.log(url);
