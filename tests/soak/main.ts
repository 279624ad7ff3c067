/**
 * Steady load at half of what the machine can do, and whether the server's memory stays flat.
 *
 *     deno task soak [--minutes 20]
 *
 * Writes tests/bench/results/soak.json and docs/soak.svg.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { curves } from "../bench/plot.ts";
import { describe, machine, progress, save, show } from "../bench/report.ts";
import { residentMb } from "../hostile/attack.ts";
import { Server } from "../server.ts";
import { Traffic } from "./traffic.ts";
import { trend } from "./trend.ts";

const WORKERS = 2;
/** Long, so that a busy machine ends no Worker. */
const DEADLINE_MS = 60_000;
/** Requests over which the capacity is taken, after as many for the compilers to settle. */
const CAPACITY_REQUESTS = 100;
/** Share of the time before memory is judged. */
const WARM_UP = 0.25;
/** Most that resident memory may rise, in MB per hour. Twenty minutes cannot tell less from garbage collection. */
const BOUND = 60;

const { values } = parseArgs({
  options: { minutes: { type: "string", default: "20" } },
});
const minutes = Number(values.minutes);
if (!(minutes > 0)) {
  throw new RangeError("Usage: deno task soak [--minutes 20]");
}

const started = machine();
await using server = await Server.start({
  MIEN_WORKERS: String(WORKERS),
  MIEN_DEADLINE_MS: String(DEADLINE_MS),
});
await server.printed('"ready":true');
const traffic = new Traffic(server.url("/"));
progress("taking the capacity");
await traffic.capacity(CAPACITY_REQUESTS, 2 * WORKERS);
const capacity = await traffic.capacity(CAPACITY_REQUESTS, 2 * WORKERS);

const samples: [minute: number, mb: number][] = [];
const start = performance.now();
const sampler = setInterval(() => {
  const minute = (performance.now() - start) / 60_000;
  samples.push([minute, residentMb(server.pid)]);
  progress(`${show(minute)} of ${minutes} min, ${show(samples.at(-1)![1])} MB`);
}, 1000);
await traffic.steady(capacity / 2, minutes * 60_000);
clearInterval(sampler);

/** From when on memory is judged; a fall in the first line would hide a rise that the second shows. */
const windows = [WARM_UP * minutes, minutes / 2].map((from) => {
  const points = samples.filter(([minute]) => minute >= from);
  const { slope, start } = trend(points);
  const ends = [points[0]!, points.at(-1)!].map((
    [minute],
  ): [number, number] => [minute, start + slope * minute]);
  return { from, perHour: slope * 60, ends };
});
const flat = windows.every(({ perHour }) => perHour <= BOUND);
const rises = windows.map(({ from, perHour }) =>
  `${perHour.toFixed(1)} MB per hour from minute ${show(from)}`
);
const warm = samples.find(([minute]) => minute >= WARM_UP * minutes)!;
const { answered, refused, failures } = traffic.tally;
const verdict = `${flat ? "flat" : "NOT flat"}: ${
  rises.join(", ")
}; allowed ${BOUND}`;
const summary = `${describe(started)}
${WORKERS} Workers, ${minutes} min at ${
  show(capacity / 2)
} requests a second, half of what they could do; ${answered} answered as they should, ${refused} refused (503), ${failures.length} otherwise
resident MB: ${show(warm[1])} after warm-up, ${
  show(samples.at(-1)![1])
} at the end, ${show(Math.max(...samples.map(([, mb]) => mb)))} at most
${verdict}`;
progress(`${minutes} min`, true);
console.log(summary);
for (const failure of failures.slice(0, 20)) console.log(`- ${failure}`);

await save("soak", {
  machine: started,
  minutes,
  capacity,
  windows,
  bound: BOUND,
  tally: traffic.tally,
  samples,
}, summary);
await Deno.writeTextFile(
  new URL("../../docs/soak.svg", import.meta.url),
  curves(
    `Resident memory under steady load, ${WORKERS} Workers`,
    { title: "minutes" },
    { title: "MB" },
    [
      { name: `each second (${started.date.slice(0, 10)})`, points: samples },
      ...windows.map(({ ends }, index) => ({
        name: rises[index]!,
        points: ends,
      })),
    ],
  ),
);
if (!flat || failures.length > 0) Deno.exitCode = 1;
