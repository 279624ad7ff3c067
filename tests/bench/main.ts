/**
 * The benchmark: Mien beside face-api, Human and native ONNX Runtime, in one run.
 *
 *     deno task bench [--rounds N] [--quick] [--only name,name] [--compare old.json] [--docs]
 *
 * @module
 */
import { cold } from "./cold.ts";
import { Contenders, installPeers } from "./contenders.ts";
import { download } from "./download.ts";
import { endToEnd } from "./end_to_end.ts";
import { parseFlags } from "./flags.ts";
import { further } from "./further.ts";
import { models } from "./models.ts";
import { photoSizes } from "./photo_sizes.ts";
import { samplePhotos } from "./photos.ts";
import { realTime } from "./real_time.ts";
import {
  describe,
  machine,
  progress,
  publish,
  save,
  show,
  table,
} from "./report.ts";
import type { Bench, Findings } from "./section.ts";
import { sizes } from "./sizes.ts";
import { throughput } from "./throughput.ts";

const SECTIONS: Record<string, (bench: Bench) => Promise<Findings>> = {
  endToEnd,
  photoSizes,
  further,
  realTime,
  models,
  throughput,
  cold,
  download,
  sizes,
};

/** Old and new figures side by side. */
async function compared(
  file: string,
  now: Record<string, number>,
): Promise<string> {
  const old = JSON.parse(await Deno.readTextFile(file)).figures as Record<
    string,
    number
  >;
  const rows = Object.entries(now).filter(([name]) => name in old).map((
    [name, value],
  ) => [name, show(old[name]!), show(value), show(value / old[name]!)]);
  return `## Beside ${file.split("/").pop()}\n\n` +
    table(["figure", "then", "now", "now / then"], rows);
}

async function main(): Promise<void> {
  const flags = parseFlags(Deno.args, Object.keys(SECTIONS));
  const started = machine();
  progress("installing tests/bench/peers");
  await installPeers();
  const contenders = new Contenders();
  const bench: Bench = {
    rounds: flags.rounds,
    photos: samplePhotos(),
    contender: (name) => contenders.get(name),
    progress,
  };
  const found: Record<string, Findings> = {};
  try {
    for (const [name, section] of Object.entries(SECTIONS)) {
      if (flags.only.length > 0 && !flags.only.includes(name)) continue;
      found[name] = await section(bench);
      progress(`${name} done`, true);
    }
  } finally {
    await contenders.stop();
  }

  const all = Object.values(found);
  const ratios = all.flatMap(({ ratios = [] }) => ratios);
  const figures = Object.assign({}, ...all.map(({ figures }) => figures));
  const markdown = [
    `# Benchmark\n\n${describe(started)}; ${flags.rounds} interleaved rounds`,
    table(
      ["", "measured", "wanted"],
      ratios.map(({ name, value, target }) => [name, `**${value}**`, target]),
    ),
    ...all.map(({ title, markdown }) => `## ${title}\n\n${markdown}`),
    ...(flags.compare ? [await compared(flags.compare, figures)] : []),
  ].join("\n\n");
  console.log(markdown);
  const data = Object.fromEntries(
    Object.entries(found).map(([name, { data }]) => [name, data]),
  );
  const result = {
    machine: started,
    rounds: flags.rounds,
    ratios,
    figures,
    data,
  };
  const plots = Object.assign({}, ...all.map(({ plots }) => plots));
  const name = ["bench", ...flags.only].join("-");
  await save(name, result, markdown, plots);
  if (flags.docs) await publish(markdown, plots);
}

if (import.meta.main) await main();
