import assert from "node:assert/strict";
import { Circuit } from "../../src/pipeline/circuit.ts";

const FAULT = new Error("the server's fault");
const OURS = new Error("the caller's fault");

/** A circuit on a clock that is set by hand, and what its probe is to answer. */
function make(back = true) {
  const world = { time: 0, back, probes: 0 };
  const circuit = new Circuit({
    probe: () => {
      world.probes++;
      return Promise.resolve(world.back);
    },
    pauseMs: 100,
    maxPauseMs: 400,
    now: () => world.time,
  });
  const call = (outcome: "fine" | "fault" | "ours") =>
    circuit.call(
      () =>
        outcome === "fine"
          ? Promise.resolve(1)
          : Promise.reject(outcome === "fault" ? FAULT : OURS),
      (error) => error === FAULT,
    ).then(() => {}, () => {});
  return { circuit, world, call };
}

/** Lets a probe's answer be heard. */
const settle = () => new Promise((done) => setTimeout(done));

async function makeOpen(back = true) {
  const made = make(back);
  for (let i = 0; i < 5; i++) await made.call("fault");
  return made;
}

Deno.test("Circuit opens at the fifth failure, not before", async () => {
  const { circuit, call } = make();
  for (let i = 0; i < 4; i++) await call("fault");
  assert.equal(circuit.check(), "closed");
  await call("fault");
  assert.equal(circuit.check(), "open");
  assert.equal(circuit.opened, 1);
});

Deno.test("Circuit opens when every other call fails", async () => {
  const { circuit, call } = make();
  for (let i = 0; i < 4; i++) {
    await call("fault");
    await call("fine");
  }
  assert.equal(circuit.check(), "closed");
  await call("fault");
  assert.equal(circuit.check(), "open");
});

Deno.test("Circuit forgets failures that lie ten calls back", async () => {
  const { circuit, call } = make();
  for (let i = 0; i < 4; i++) await call("fault");
  for (let i = 0; i < 10; i++) await call("fine");
  for (let i = 0; i < 4; i++) await call("fault");
  assert.equal(circuit.check(), "closed");
});

Deno.test("Circuit does not count what is not the server's fault", async () => {
  const { circuit, call } = make();
  for (let i = 0; i < 20; i++) await call("ours");
  assert.equal(circuit.check(), "closed");
});

Deno.test("Circuit passes results and errors on", async () => {
  const { circuit } = make();
  assert.equal(await circuit.call(() => Promise.resolve(7), () => true), 7);
  await assert.rejects(
    circuit.call(() => Promise.reject(FAULT), () => true),
    FAULT,
  );
});

Deno.test("Circuit looks at the server once when its pause is over", async () => {
  const { circuit, world } = await makeOpen();
  world.time = 99;
  assert.equal(circuit.check(), "open");
  assert.equal(world.probes, 0);
  world.time = 100;
  assert.equal(circuit.check(), "open");
  assert.equal(circuit.check(), "open");
  assert.equal(world.probes, 1);
  await settle();
  assert.equal(circuit.check(), "half_open");
});

Deno.test("Circuit lets one call through to see, and closes when it succeeds", async () => {
  const { circuit, world, call } = await makeOpen();
  world.time = 100;
  circuit.check();
  await settle();
  const trial = Promise.withResolvers<void>();
  const running = circuit.call(() => trial.promise, () => true);
  assert.equal(circuit.check(), "open");
  trial.resolve();
  await running;
  assert.equal(circuit.check(), "closed");
  for (let i = 0; i < 4; i++) await call("fault");
  assert.equal(circuit.check(), "closed");
});

Deno.test("Circuit opens again when the trial fails, for twice as long, up to the longest", async () => {
  const { circuit, world, call } = await makeOpen();
  for (const pause of [100, 200, 400, 400]) {
    world.time += pause - 1;
    assert.equal(circuit.check(), "open");
    await settle();
    assert.equal(circuit.check(), "open");
    world.time += 1;
    circuit.check();
    await settle();
    assert.equal(circuit.check(), "half_open");
    await call("fault");
    assert.equal(circuit.check(), "open");
  }
});

Deno.test("Circuit stays open while the probe says so, and survives one that throws", async () => {
  const { circuit, world } = await makeOpen(false);
  world.time = 100;
  circuit.check();
  await settle();
  assert.equal(circuit.check(), "open");
  assert.equal(world.probes, 1);
  world.time = 300;
  circuit.check();
  await settle();
  assert.equal(world.probes, 2);
  const throws = new Circuit({
    probe: () => Promise.reject(FAULT),
    failures: 1,
    pauseMs: 0,
  });
  await throws.call(() => Promise.reject(FAULT), () => true).catch(() => {});
  throws.check();
  await settle();
  assert.equal(throws.check(), "open");
});

Deno.test("Circuit keeps its trial for the next call when the first was given up", async () => {
  const { circuit, world, call } = await makeOpen();
  world.time = 100;
  circuit.check();
  await settle();
  await call("ours");
  assert.equal(circuit.check(), "half_open");
  await call("fine");
  assert.equal(circuit.check(), "closed");
});

Deno.test("Circuit is not closed by a call that began before it opened", async () => {
  const { circuit, call } = make();
  const early = Promise.withResolvers<void>();
  const running = circuit.call(() => early.promise, () => true);
  for (let i = 0; i < 5; i++) await call("fault");
  early.resolve();
  await running;
  assert.equal(circuit.check(), "open");
});
