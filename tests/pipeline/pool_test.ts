import assert from "node:assert/strict";
import type { EngineAnswer } from "../../src/pipeline/engine.ts";
import { IMAGE_LIMITS } from "../../src/pipeline/mod.ts";
import type { Plan } from "../../src/pipeline/options.ts";
import { Pool } from "../../src/pipeline/pool.ts";

/** The deeds of fake_worker.ts. */
const deed = {
  answer: 0,
  hang: 1,
  die: 2,
  fail: 3,
  slow: 4,
  leave: 5,
  dieFirst: 6,
};

const plan: Plan = {
  attributes: ["expression"],
  model: "fake",
  explain: "none",
  maxFaces: 20,
  minDetectionConfidence: 0.6,
  minConfidence: 0,
  input: "photo",
  route: "auto",
};

function makePool(size: number, queue = 4, models = "fine"): Pool {
  let spawned = 0;
  return new Pool({
    size,
    queue,
    spawn: () =>
      new Worker(new URL("./fake_worker.ts", import.meta.url), {
        type: "module",
        name: spawned++ < size ? "first" : "later",
      }),
    start: { kind: "start", models, warm: [], limits: IMAGE_LIMITS },
  });
}

function job(
  pool: Pool,
  what: number,
  mark = 0,
  deadlineMs = 5000,
): Promise<EngineAnswer> {
  return pool.run(new Uint8Array([what, mark]), plan, { deadlineMs });
}

/** Runs a test body with a pool that is ready, and closes it. */
async function withPool(
  size: number,
  body: (pool: Pool) => Promise<void>,
  queue?: number,
) {
  const pool = makePool(size, queue);
  try {
    await pool.ready;
    await body(pool);
  } finally {
    await pool.close();
  }
}

const code = (wanted: string) => (error: unknown) =>
  (error as { code?: string }).code === wanted;

Deno.test("Pool answers every job with its own answer", () =>
  withPool(2, async (pool) => {
    const answers = await Promise.all(
      [1, 2, 3, 4, 5, 6].map((mark) => job(pool, deed.slow, mark)),
    );
    assert.deepEqual(answers.map((answer) => answer.image.width), [
      1,
      2,
      3,
      4,
      5,
      6,
    ]);
  }));

Deno.test("Pool adds the wait to the timing", () =>
  withPool(1, async (pool) => {
    const [, second] = await Promise.all([
      job(pool, deed.slow),
      job(pool, deed.answer),
    ]);
    assert.ok(second.timing.queueMs > 50);
    assert.ok(second.timing.totalMs >= second.timing.queueMs + 4);
  }));

Deno.test("Pool gives the picture of a Worker that dies to another, and its time in the queue once", () =>
  withPool(2, async (pool) => {
    const answers = await Promise.all(
      [1, 2, 3].map((mark) => job(pool, deed.dieFirst, mark)),
    );
    assert.deepEqual(answers.map((answer) => answer.image.width), [1, 2, 3]);
    assert.ok(pool.state.replaced >= 1);
    for (const { timing } of answers) {
      assert.equal(timing.totalMs, 4 + timing.queueMs);
    }
  }));

Deno.test("Pool gives up on a picture that three Workers died over", () =>
  withPool(2, async (pool) => {
    await assert.rejects(job(pool, deed.die), code("internal"));
    assert.equal(pool.state.replaced, 3);
    assert.equal((await job(pool, deed.answer, 5)).image.width, 5);
  }));

Deno.test("Pool ends a hanging job at its deadline though its caller went away", () =>
  withPool(1, async (pool) => {
    const controller = new AbortController();
    const hanging = pool.run(new Uint8Array([deed.hang]), plan, {
      deadlineMs: 300,
      signal: controller.signal,
    });
    controller.abort(new Error("gone"));
    await assert.rejects(hanging, /gone/);
    assert.equal(pool.state.busy, 1);
    assert.equal((await job(pool, deed.answer, 4)).image.width, 4);
    assert.equal(pool.state.replaced, 1);
  }));

Deno.test("Pool gives no second Worker to a picture nobody waits for", () =>
  withPool(1, async (pool) => {
    const controller = new AbortController();
    const dying = pool.run(new Uint8Array([deed.die]), plan, {
      deadlineMs: 5000,
      signal: controller.signal,
    });
    controller.abort(new Error("gone"));
    await assert.rejects(dying, /gone/);
    assert.equal((await job(pool, deed.answer, 4)).image.width, 4);
    assert.equal(pool.state.replaced, 1);
  }));

Deno.test("Pool passes an engine's error on with its code and goes on", () =>
  withPool(1, async (pool) => {
    await assert.rejects(job(pool, deed.fail), code("corrupt_image"));
    assert.equal((await job(pool, deed.answer, 7)).image.width, 7);
    assert.equal(pool.state.replaced, 0);
  }));

Deno.test("Pool ends a job that hangs at its deadline, with its Worker, and replaces that", () =>
  withPool(2, async (pool) => {
    const neighbour = job(pool, deed.slow, 3);
    await assert.rejects(
      job(pool, deed.hang, 0, 300),
      code("deadline_exceeded"),
    );
    assert.equal((await neighbour).image.width, 3);
    const later = await Promise.all(
      [4, 5, 6].map((mark) => job(pool, deed.slow, mark)),
    );
    assert.deepEqual(later.map((answer) => answer.image.width), [4, 5, 6]);
    assert.equal(pool.state.replaced, 1);
  }));

Deno.test("Pool keeps what waits behind a job that hangs", () =>
  withPool(1, async (pool) => {
    const hanging = job(pool, deed.hang, 0, 300);
    const waiting = job(pool, deed.answer, 8);
    await assert.rejects(hanging, code("deadline_exceeded"));
    assert.equal((await waiting).image.width, 8);
  }));

Deno.test("Pool ends a job that is still waiting at its deadline", () =>
  withPool(1, async (pool) => {
    const running = job(pool, deed.slow, 1);
    await assert.rejects(
      job(pool, deed.answer, 2, 20),
      code("deadline_exceeded"),
    );
    assert.equal((await running).image.width, 1);
    assert.equal(pool.state.replaced, 0);
  }));

Deno.test("Pool ends the job of a Worker that leaves without a word at its deadline", () =>
  withPool(1, async (pool) => {
    await assert.rejects(
      job(pool, deed.leave, 0, 300),
      code("deadline_exceeded"),
    );
    assert.equal((await job(pool, deed.answer, 6)).image.width, 6);
  }));

Deno.test("Pool refuses work past its queue as overloaded", () =>
  withPool(1, async (pool) => {
    const accepted = [1, 2, 3].map((mark) => job(pool, deed.slow, mark));
    assert.throws(() => job(pool, deed.answer), code("overloaded"));
    assert.deepEqual(
      (await Promise.all(accepted)).map((answer) => answer.image.width),
      [1, 2, 3],
    );
    assert.equal((await job(pool, deed.answer, 4)).image.width, 4);
  }, 2));

Deno.test("Pool takes an aborted job out of the queue", () =>
  withPool(1, async (pool) => {
    const running = job(pool, deed.slow, 1);
    const controller = new AbortController();
    const waiting = pool.run(new Uint8Array([deed.answer]), plan, {
      deadlineMs: 5000,
      signal: controller.signal,
    });
    assert.equal(pool.state.waiting, 1);
    controller.abort(new Error("gone"));
    await assert.rejects(waiting, /gone/);
    assert.equal(pool.state.waiting, 0);
    assert.equal((await running).image.width, 1);
    assert.throws(
      () =>
        pool.run(new Uint8Array(1), plan, {
          deadlineMs: 1,
          signal: controller.signal,
        }),
      /gone/,
    );
  }));

Deno.test("Pool.close() lets accepted work finish, refuses new work", async () => {
  const pool = makePool(1);
  await pool.ready;
  const accepted = [1, 2].map((mark) => job(pool, deed.slow, mark));
  const closing = pool.close(4000);
  assert.throws(() => job(pool, deed.answer), code("overloaded"));
  assert.deepEqual(
    (await Promise.all(accepted)).map((answer) => answer.image.width),
    [1, 2],
  );
  await closing;
});

Deno.test("Pool.close() lets a Worker that dies meanwhile be replaced for what was accepted", async () => {
  const pool = makePool(1);
  await pool.ready;
  const accepted = [1, 2].map((mark) => job(pool, deed.dieFirst, mark));
  await Promise.all([pool.close(5000), ...accepted]);
});

Deno.test("Pool.close() answers unfinished work after its grace", async () => {
  const pool = makePool(1);
  await pool.ready;
  const hanging = job(pool, deed.hang), waiting = job(pool, deed.answer);
  const refused = Promise.all([
    assert.rejects(hanging, code("overloaded")),
    assert.rejects(waiting, code("overloaded")),
  ]);
  await pool.close(100);
  await refused;
});

Deno.test("Pool.ready rejects when Workers cannot start, saying why", async () => {
  const pool = makePool(1, 4, "fail");
  await assert.rejects(pool.ready, /Cannot start a worker: no models/);
  assert.equal(pool.state.ready, 0);
  await pool.close();
});
