import assert from "node:assert/strict";
import { ModelStore } from "../../src/pipeline/manifest.ts";
import { readModelFiles } from "../../src/pipeline/model_files.ts";
import type { Tensor } from "../../src/pipeline/postprocess.ts";
import { createWasmBackend } from "../../src/pipeline/wasm.ts";
import { seeded } from "../testdata/pictures.ts";

const models = await ModelStore.open(readModelFiles());
const random = seeded(7);

function noise(...dims: number[]): Tensor {
  const length = dims.reduce((product, side) => product * side, 1);
  return { data: Float32Array.from({ length }, random), dims };
}

Deno.test("createWasmBackend() gives runs that overlap the results they have alone", async () => {
  const backend = createWasmBackend(models);
  const [detector, landmarks, expression] = [
    models.forTask("faceDetection"),
    models.forTask("faceLandmarks"),
    models.get("expression_mini_xception"),
  ].map((spec) => ({ model: spec.name, input: spec.inputs[0]!.name }));
  const jobs = [1, 3, 2, 5, 1, 4].flatMap((batch) => [
    { ...detector!, tensor: noise(1, 3, 32 * batch, 64) },
    { ...landmarks!, tensor: noise(batch, 1, 64, 64) },
    { ...expression!, tensor: noise(batch, 1, 64, 64) },
  ]);
  const other = createWasmBackend(models);
  const run = ({ model, input, tensor }: typeof jobs[number], index: number) =>
    (index % 2 ? other : backend).run(model, { [input]: tensor });
  const alone = [];
  for (const [index, job] of jobs.entries()) alone.push(await run(job, index));
  for (let stagger = 0; stagger < 12; stagger++) {
    const together = await Promise.all(jobs.map(async (job, index) => {
      for (let tick = 0; tick < stagger * index; tick++) {
        await Promise.resolve();
      }
      return await run(job, index);
    }));
    assert.deepEqual(together, alone);
  }
  await other.close();
  await backend.close();
});

Deno.test("createWasmBackend() leaves the runtime's own Worker in place", async () => {
  const { Worker } = globalThis;
  const backend = createWasmBackend(models);
  await backend.load(models.get("expression_mini_xception").name);
  assert.equal(globalThis.Worker, Worker);
  await backend.close();
});

Deno.test("createWasmBackend() goes on after a run that failed or was called off", async () => {
  const backend = createWasmBackend(models);
  const { name, inputs } = models.get("expression_mini_xception");
  const good = { [inputs[0]!.name]: noise(1, 1, 64, 64) };
  const bad = { [inputs[0]!.name]: noise(1, 1, 7, 7) };
  const signal = AbortSignal.abort(new Error("called off"));
  const alone = await backend.run(name, good);
  const [failed, stopped, next] = await Promise.allSettled([
    backend.run(name, bad),
    backend.run(name, good, { signal }),
    backend.run(name, good),
  ]);
  assert.equal(failed!.status, "rejected");
  assert.equal(stopped!.status, "rejected");
  assert.match(String((stopped as PromiseRejectedResult).reason), /called off/);
  assert.deepEqual((next as PromiseFulfilledResult<unknown>).value, alone);
  await backend.close();
});
