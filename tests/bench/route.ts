/**
 * The benchmark of the GPU route, over loopback, against the in-repository server in its own process.
 *
 *     deno task bench:route [latency] [throughput] [outage] [hedge] [--docs]
 *
 * All sections by default. `--docs` also puts the report into docs/gpu-route.md.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { createPipeline } from "../../src/pipeline/mod.ts";
import { describe, machine, progress, save, table } from "./report.ts";
import { hedge } from "./route/hedge.ts";
import { latency } from "./route/latency.ts";
import { PATIENT } from "./route/load.ts";
import { outage } from "./route/outage.ts";
import { makePictures, type Pictures } from "./route/pictures.ts";
import { throughput } from "./route/throughput.ts";
import type { Findings } from "./section.ts";

const SECTIONS: Record<string, (pictures: Pictures) => Promise<Findings>> = {
  latency,
  throughput,
  outage,
  hedge,
};
const START = "<!-- bench:route -->", END = "<!-- /bench:route -->";

const { values: { docs }, positionals } = parseArgs({
  options: { docs: { type: "boolean", default: false } },
  allowPositionals: true,
});
const strange = positionals.find((name) => !(name in SECTIONS));
if (strange !== undefined) {
  throw new RangeError(
    `${strange} is none of ${Object.keys(SECTIONS).join(", ")}`,
  );
}

const started = machine();
const pipeline = await createPipeline({ deadlineMs: PATIENT.deadlineMs });
await pipeline.ready;
const pictures = await makePictures(pipeline);
await pipeline.close();
const found: Record<string, Findings> = {};
for (const [name, section] of Object.entries(SECTIONS)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue;
  found[name] = await section(pictures);
  progress(`${name} done`, true);
}

const all = Object.values(found);
const ratios = all.flatMap(({ ratios = [] }) => ratios);
const markdown = [
  `\`deno task bench:route\`: ${describe(started)}.`,
  table(
    ["", "measured", "wanted"],
    ratios.map(({ name, value, target }) => [name, `**${value}**`, target]),
  ),
  ...all.map(({ title, markdown }) => `### ${title}\n\n${markdown}`),
].join("\n\n");
console.log(markdown);
const data = Object.fromEntries(
  Object.entries(found).map(([name, { data }]) => [name, data]),
);
const figures = Object.assign({}, ...all.map(({ figures }) => figures));
await save(
  ["route", ...positionals].join("-"),
  { machine: started, ratios, figures, data },
  markdown,
);
if (docs) {
  const page = new URL("../../docs/gpu-route.md", import.meta.url);
  const text = await Deno.readTextFile(page);
  const start = text.indexOf(START) + START.length, end = text.indexOf(END);
  await Deno.writeTextFile(
    page,
    `${text.slice(0, start)}\n\n${markdown}\n\n${text.slice(end)}`,
  );
}
