/**
 * The GPU route against a real Triton, whose address is in MIEN_TEST_OIP_URL: `.ci/triton` starts one.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createPipeline } from "../../src/pipeline/mod.ts";
import type { Tensor } from "../../src/pipeline/postprocess.ts";
import { createRemoteBackend, RemoteError } from "../../src/pipeline/remote.ts";
import { createWasmBackend } from "../../src/pipeline/wasm.ts";
import { fixture, models } from "../pipeline/support.ts";

const MODEL = "expression_mini_xception";
const url = Deno.env.get("MIEN_TEST_OIP_URL") ?? "";
const ignore = url === "";
if (ignore) console.log("No Triton here: its tests run in .ci/triton");

function images(batch: number): Record<string, Tensor> {
  const data = Float32Array.from(
    { length: batch * 64 * 64 },
    (_, i) => Math.sin(i * 0.05) * 0.5,
  );
  return { image: { data, dims: [batch, 1, 64, 64] } };
}

function assertNear(mine: Record<string, Tensor>, theirs: typeof mine): void {
  assert.deepEqual(Object.keys(mine).sort(), Object.keys(theirs).sort());
  for (const [name, { data, dims }] of Object.entries(mine)) {
    assert.deepEqual(dims, theirs[name]!.dims);
    data.forEach((value, i) =>
      assert.ok(
        Math.abs(value - theirs[name]!.data[i]!) < 1e-3,
        `${name}[${i}]`,
      )
    );
  }
}

const remote = createRemoteBackend(models, { url, timeoutMs: 20_000 });

Deno.test({
  name: "Triton: ready models are told from unknown ones",
  ignore,
  fn: async () => {
    assert.equal(await remote.ready(MODEL), true);
    assert.equal(await remote.ready("nobody"), false);
  },
});

Deno.test({
  name: "Triton: mini-Xception answers as the edge does, in batches of 1 and 8",
  ignore,
  fn: async () => {
    const edge = createWasmBackend(models);
    for (const batch of [1, 8]) {
      const feeds = images(batch);
      assertNear(await remote.run(MODEL, feeds), await edge.run(MODEL, feeds));
    }
    await edge.close();
  },
});

Deno.test({
  name:
    "Triton: twenty requests at once are all answered, each with its own rows",
  ignore,
  fn: async () => {
    const answers = await Promise.all(
      Array.from(
        { length: 20 },
        (_, i) => remote.run(MODEL, images(1 + i % 3)),
      ),
    );
    answers.forEach(({ logits }, i) =>
      assert.deepEqual(logits!.dims, [1 + i % 3, 8])
    );
  },
});

Deno.test({
  name: "Triton: a refused request is an error, an abort ends the wait",
  ignore,
  fn: async () => {
    const wrong = {
      image: { data: new Float32Array(32 * 32), dims: [1, 1, 32, 32] },
    };
    await assert.rejects(
      remote.run(MODEL, wrong),
      (error) => error instanceof RemoteError && error.reason === "error",
    );
    const controller = new AbortController();
    const running = remote.run(MODEL, images(8), { signal: controller.signal });
    controller.abort(new Error("enough"));
    await assert.rejects(running, /enough/);
    assertNear(
      await remote.run(MODEL, images(1)),
      await remote.run(MODEL, images(1)),
    );
  },
});

Deno.test({
  name:
    "Triton: a photo's faces are read there, and here when the address is wrong",
  ignore,
  fn: async () => {
    for (
      const [address, backend] of [[url, "gpu"], [
        "http://127.0.0.1:9",
        "wasm",
      ]] as const
    ) {
      const pipeline = await createPipeline({
        workers: 0,
        model: MODEL,
        gpu: { url: address, timeoutMs: 20_000, escalateBelow: 1 },
      });
      await pipeline.ready;
      const { faces } = await pipeline.analyze(
        await fixture("astronaut.jpg"),
      );
      assert.equal(faces[0]!.expression!.label, "happiness");
      assert.equal(faces[0]!.provenance.backend, backend);
      await pipeline.close();
    }
  },
});
