import assert from "node:assert/strict";
import { overload, quantile } from "./overload.ts";

const SECONDS = 10;
/** Long, so that a slow machine gives up on no photo. */
const DEADLINE_MS = 30_000;
/** As long again as the platform waits, for the same reason. */
const KILL_MS = 10_000;

Deno.test(`fifty clients on two dying Workers for ${SECONDS} s get answers or 503, and SIGTERM loses nothing`, async () => {
  const toll = await overload({
    clients: 50,
    seconds: SECONDS,
    deadlineMs: DEADLINE_MS,
    killMs: KILL_MS,
  });
  const { acceptedMs, drained, failures, exit } = toll;
  assert.deepEqual(failures, []);
  assert.ok(acceptedMs.length > 0, "nothing was answered");
  assert.ok(toll.refused > 0, "the queue never was full");
  assert.ok(quantile(acceptedMs, 0.99) <= DEADLINE_MS);
  assert.ok(toll.workersKilled > 0, "no Worker was killed");
  assert.ok(toll.workersReplaced >= toll.workersKilled - 1);
  assert.ok(drained.answered + drained.refused > 0, "no load at SIGTERM");
  assert.equal(exit.code, 0);
});
