/**
 * Hostile input against a real server, started as `deno task start` starts it.
 *
 *     deno task hostile [count] [seed]
 *
 * A case that fails is named by its number: `deno task hostile 1 NUMBER` plays it again.
 *
 * @module
 */
import { describe, machine, progress } from "../bench/report.ts";
import { Server } from "../server.ts";
import { attack } from "./attack.ts";

const DEADLINE_MS = 10_000;
const [count = 10_000, seed = 0] = Deno.args.map(Number);
if (![count, seed].every(Number.isInteger)) {
  throw new RangeError("Usage: deno task hostile [count] [seed]");
}

await using server = await Server.start({
  MIEN_WORKERS: "2",
  MIEN_DEADLINE_MS: String(DEADLINE_MS),
});
await server.printed('"ready":true');
const started = machine();
const damage = await attack(server, {
  count,
  seed,
  deadlineMs: DEADLINE_MS,
  progress,
});
progress(`${damage.cases} cases`, true);
console.log(describe(started));
console.log(`statuses: ${JSON.stringify(damage.statuses)}`);
console.log(
  `resident MB, by tenths: ${damage.memoryMb.map(Math.round).join(" ")}`,
);
console.log(
  `Workers replaced: ${damage.replaced}; failures: ${damage.failures.length}`,
);
for (const failure of damage.failures) console.log(`- ${failure}`);
if (damage.failures.length > 0) Deno.exitCode = 1;
