/**
 * A fresh process that answers one photo. Started by main.ts, with the permissions of `deno task start`.
 *
 * @module
 */
import { createPipeline } from "../../src/pipeline/mod.ts";

const [workers, photo] = Deno.args as [string, string];
const pipeline = await createPipeline({ workers: Number(workers) });
const bytes = await Deno.readFile(photo);
await pipeline.ready;
const readyMs = performance.now();
const { faces } = await pipeline.analyze(bytes);
const answerMs = performance.now();
console.log(JSON.stringify({ readyMs, answerMs, faces: faces.length }));
await new Promise(() => setInterval(() => {}, 60_000));
