import assert from "node:assert/strict";
import { createPipeline } from "../../src/pipeline/mod.ts";
import { encodePng } from "../../src/pipeline/png.ts";
import type { Face } from "../../src/types.ts";
import { freePort, ServerProcess } from "../oip/process.ts";
import { formulaPicture } from "./support.ts";

const REQUESTS = 500, TOGETHER = 4;

Deno.test(`a GPU server killed under a load of ${REQUESTS} requests is missed by none, and used again when it is back`, async () => {
  const port = freePort(), model = "expression_mien";
  let server = await ServerProcess.start({ port });
  const pipeline = await createPipeline({
    workers: 1,
    queue: TOGETHER,
    deadlineMs: 120_000,
    gpu: {
      url: server.url,
      model,
      escalateBelow: 1,
      timeoutMs: 60_000,
    },
  });
  try {
    await pipeline.ready;
    const crop = await encodePng(formulaPicture(64, 64));
    const served: Face["provenance"][] = [];
    let started = 0;
    const ask = async () => {
      const { faces } = await pipeline.analyze(
        crop.slice() as Uint8Array<ArrayBuffer>,
        { input: "crop" },
      );
      served.push(faces[0]!.provenance);
    };
    const load = async (upTo: number) => {
      await Promise.all(Array.from({ length: TOGETHER }, async () => {
        while (started++ < upTo) await ask();
      }));
      started = upTo;
    };

    await load(150);
    assert.ok(served.every(({ backend }) => backend === "gpu"));

    const during = load(300);
    await new Promise((done) => setTimeout(done, 20));
    await server[Symbol.asyncDispose]();
    await during;
    const { circuits } = pipeline.gpu!;
    assert.equal(circuits[model]!.opened, 1);
    const failed = served.filter(({ escalated, fallback }) =>
      escalated && fallback
    );
    assert.ok(failed.length >= 5, `${failed.length} calls failed`);
    assert.ok(failed.length < 5 + TOGETHER, `${failed.length} calls failed`);

    server = await ServerProcess.start({ port });
    const back = performance.now();
    while (
      pipeline.gpu!.circuits[model]!.state !== "closed" &&
      performance.now() - back < 60_000
    ) {
      await ask();
      await new Promise((done) => setTimeout(done, 20));
    }
    assert.equal(pipeline.gpu!.circuits[model]!.state, "closed");
    await load(REQUESTS);
    assert.ok(served.length >= REQUESTS);
    assert.equal(served.at(-1)!.backend, "gpu");
    for (const { backend, fallback } of served) {
      assert.equal(backend === "gpu", fallback === null);
    }
  } finally {
    await pipeline.close();
    await server[Symbol.asyncDispose]();
  }
});
