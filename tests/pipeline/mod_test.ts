import assert from "node:assert/strict";
import { createPipeline } from "../../src/pipeline/mod.ts";
import { fixture } from "./support.ts";

Deno.test("createPipeline() answers the same through Workers and in process", async () => {
  const pooled = await createPipeline({ workers: 1 });
  const inProcess = await createPipeline({ workers: 0 });
  try {
    await Promise.all([pooled.ready, inProcess.ready]);
    const bytes = await fixture("astronaut.jpg");
    const options = { attributes: "all", explain: "evidence" } as const;
    const [a, b] = [
      await pooled.analyze(bytes.slice(), options, { requestId: "one" }),
      await inProcess.analyze(bytes.slice(), options, { requestId: "one" }),
    ];
    assert.equal(a.requestId, "one");
    assert.deepEqual(a.faces, b.faces);
    assert.deepEqual(a.image, b.image);
    assert.equal(pooled.state!.ready, 1);
    assert.equal(inProcess.state, undefined);
  } finally {
    await Promise.all([pooled.close(), inProcess.close()]);
  }
});

Deno.test("createPipeline() refuses a model that is not there or reads no expressions", async () => {
  await assert.rejects(
    createPipeline({ model: "nobody" }),
    /Cannot find the model "nobody"/,
  );
  await assert.rejects(
    createPipeline({ preload: ["face_detection_yunet"] }),
    /Cannot use face_detection_yunet for expressions/,
  );
});

Deno.test("createPipeline() in process ends a job at its deadline", async () => {
  const pipeline = await createPipeline({ workers: 0, deadlineMs: 1 });
  try {
    await pipeline.ready;
    await assert.rejects(
      pipeline.analyze(await fixture("astronaut.jpg")),
      (error: { code?: string }) => error.code === "deadline_exceeded",
    );
  } finally {
    await pipeline.close();
  }
});

Deno.test("createPipeline() in a Worker refuses corrupt bytes with the contract's code", async () => {
  const pipeline = await createPipeline({ workers: 1 });
  try {
    await pipeline.ready;
    const bytes = (await fixture("astronaut.jpg")).slice(0, 9000);
    await assert.rejects(
      pipeline.analyze(bytes),
      (error: { code?: string }) => error.code === "corrupt_image",
    );
  } finally {
    await pipeline.close();
  }
});
