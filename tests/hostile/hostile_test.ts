import assert from "node:assert/strict";
import { Server } from "../server.ts";
import { attack } from "./attack.ts";

const CASES = 500;
/** Long, so that a slow machine gives up on no good photo. */
const DEADLINE_MS = 15_000;
/** Past a Worker's share even while two bombs at the limits are open. */
const MOST_MB = 2500;

Deno.test(`a server answers ${CASES} hostile requests as it should, and a good photo as before`, async () => {
  await using server = await Server.start({
    MIEN_WORKERS: "2",
    MIEN_DEADLINE_MS: String(DEADLINE_MS),
  });
  await server.printed('"ready":true');
  const damage = await attack(server, {
    count: CASES,
    seed: 0,
    deadlineMs: DEADLINE_MS,
  });
  assert.deepEqual(damage.failures, []);
  assert.ok(damage.cases > CASES);
  assert.ok(damage.statuses["200"]! > 50, JSON.stringify(damage.statuses));
  assert.ok(damage.statuses["422"]! > 50, JSON.stringify(damage.statuses));
  assert.ok(Math.max(...damage.memoryMb) < MOST_MB, damage.memoryMb.join());
  assert.doesNotMatch(server.output, /"status":500|panic|Uncaught/);
});
