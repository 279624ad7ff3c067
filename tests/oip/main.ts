/**
 * The strict server as a process of its own, over the WASM backend.
 *
 *     deno run -A tests/oip/main.ts PORT [MODEL...]
 *
 * @module
 */
import { ModelStore } from "../../src/pipeline/manifest.ts";
import { readModelFiles } from "../../src/pipeline/model_files.ts";
import { createWasmBackend } from "../../src/pipeline/wasm.ts";
import { startOipServer } from "./server.ts";

const [port = "0", ...names] = Deno.args;
const models = await ModelStore.open(readModelFiles());
const backend = createWasmBackend(models);
for (const name of names.length > 0 ? names : ["expression_mien"]) {
  await backend.load(name);
}
const { url } = startOipServer(
  models.specs,
  (model, feeds) => backend.run(model, feeds),
  Number(port),
);
console.log(url);
