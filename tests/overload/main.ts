/**
 * Fifty clients against a pool of two Workers that are killed at random, then SIGTERM under load.
 *
 *     deno task overload [--seconds 60]
 *
 * @module
 */
import { parseArgs } from "node:util";
import { describe, machine, progress, show } from "../bench/report.ts";
import { overload, quantile } from "./overload.ts";

const CLIENTS = 50;
/** The server's default. */
const DEADLINE_MS = 10_000;
const { values } = parseArgs({
  options: { seconds: { type: "string", default: "60" } },
});
const seconds = Number(values.seconds);
if (!(seconds > 0)) {
  throw new RangeError("Usage: deno task overload [--seconds 60]");
}

const started = machine();
const toll = await overload({
  clients: CLIENTS,
  seconds,
  deadlineMs: DEADLINE_MS,
  progress,
});
const { acceptedMs, drained, failures, memoryMb, exit } = toll;
const p99 = quantile(acceptedMs, 0.99);
progress(`${CLIENTS} clients for ${seconds} s`, true);
console.log(`${describe(started)}
accepted: ${acceptedMs.length}, p50 ${
  show(quantile(acceptedMs, 0.5))
} ms, p99 ${show(p99)} ms (deadline ${DEADLINE_MS} ms)
refused with Retry-After: ${toll.refused}
anything else: ${failures.length}
Workers killed: ${toll.workersKilled}, replaced by the pool: ${toll.workersReplaced}
resident MB, before and after: ${show(memoryMb.before)}, ${show(memoryMb.after)}
under way at SIGTERM: ${drained.answered} answered, ${drained.refused} refused with Retry-After; exit code ${exit.code} after ${
  show(exit.ms)
} ms`);
for (const failure of failures) console.log(`- ${failure}`);
if (failures.length > 0 || p99 > DEADLINE_MS || exit.code !== 0) {
  Deno.exitCode = 1;
}
