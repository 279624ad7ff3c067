/**
 * The strict server with a slow tail, over the WASM backend.
 *
 *     deno run -A tests/bench/route/slow_server.ts PORT requests|stalls SHARE MS
 *
 * `requests`: a share of the requests, drawn one by one, waits so many milliseconds more. `stalls`: now
 * and then the whole server answers nothing for so long, so that this share of all time is lost.
 *
 * @module
 */
import { createWasmBackend } from "../../../src/pipeline/wasm.ts";
import { startOipServer } from "../../oip/server.ts";
import { models, random } from "../../pipeline/support.ts";
import { delay } from "./load.ts";

const [port, kind] = Deno.args as [string, string];
const [share, ms] = Deno.args.slice(2).map(Number) as [number, number];
const backend = createWasmBackend(models);
await backend.load("expression_mien");
const draw = random(1);

function waitMs(): number {
  if (kind === "requests") return draw() < share ? ms : 0;
  return Math.max(0, ms - performance.now() % (ms / share));
}

const { url } = startOipServer(
  models.specs,
  async (model, feeds) => {
    await delay(waitMs());
    return await backend.run(model, feeds);
  },
  Number(port),
);
console.log(url);
