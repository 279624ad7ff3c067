/**
 * The GPU route against a real Triton, whose address is in MIEN_TEST_OIP_URL: `.ci/triton` starts one.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createPipeline } from "../../src/pipeline/mod.ts";
import {
  describeTensors,
  joinBody,
  JSON_LENGTH,
} from "../../src/pipeline/oip.ts";
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
  name: "Triton: every model with fixed sides answers as the edge does",
  ignore,
  fn: async (t) => {
    const edge = createWasmBackend(models);
    for (const { name, file, inputs, precision } of models.specs) {
      const fixed = inputs.every(({ shape }) =>
        typeof shape.at(-1) === "number"
      );
      if (file === null || !fixed) continue;
      await t.step(name, async () => {
        const feeds = Object.fromEntries(inputs.map((input, index) => {
          const dims = [2, ...input.shape.slice(1).map(Number)];
          const count = dims.reduce((a, b) => a * b);
          const data = Float32Array.from(
            { length: count },
            (_, i) => Math.sin(i * 0.05 + index) * 0.5,
          );
          return [input.name, { data, dims }];
        }));
        const [there, here] = await Promise.all([
          remote.run(name, feeds),
          edge.run(name, feeds),
        ]);
        for (const [output, { data, dims }] of Object.entries(here)) {
          assert.deepEqual(there[output]!.dims, dims, output);
          const most = data.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
          // Kernels round at other places; in int8 a step may flip.
          const allowed = most * (precision === "int8" ? 0.1 : 1e-3) + 1e-3;
          data.forEach((value, i) => {
            const off = Math.abs(value - there[output]!.data[i]!);
            assert.ok(off < allowed, `${output}[${i}] is off by ${off}`);
          });
        }
      });
    }
    await edge.close();
  },
});

Deno.test({
  name:
    "Triton: JSON, raw and compressed requests are read alike, and errors are as ours",
  ignore,
  fn: async () => {
    const feeds = images(2);
    const answers = [];
    for (const binary of [true, false]) {
      const { body, jsonLength } = joinBody({
        inputs: describeTensors(feeds, binary),
        outputs: [{ name: "logits" }],
      }, binary ? Object.values(feeds) : []);
      for (const encoding of ["identity", "gzip", "deflate"] as const) {
        const stream = new Blob([body]).stream();
        const sent = encoding === "identity"
          ? stream
          : stream.pipeThrough(new CompressionStream(encoding));
        const reply = await fetch(`${url}/v2/models/${MODEL}/infer`, {
          method: "POST",
          body: await new Response(sent).bytes(),
          headers: {
            ...(binary ? { [JSON_LENGTH]: String(jsonLength) } : {}),
            ...(encoding === "identity"
              ? {}
              : { "content-encoding": encoding }),
          },
        });
        assert.equal(reply.status, 200, `${binary} ${encoding}`);
        const { outputs } = await reply.json();
        answers.push(outputs[0].data);
      }
    }
    for (const answer of answers) assert.deepEqual(answer, answers[0]);
    const unknown = await fetch(`${url}/v2/models/nobody`);
    assert.equal(unknown.status, 404);
    assert.match((await unknown.json()).error, /unknown model: 'nobody'/);
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
