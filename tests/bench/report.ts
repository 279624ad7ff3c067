/** A table's cells, first row the heads; numbers are right-aligned. */
export type Row = readonly (string | number)[];

/** The middle value, or the mean of the two middle ones. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b), half = sorted.length >> 1;
  return sorted.length % 2
    ? sorted[half]!
    : (sorted[half - 1]! + sorted[half]!) / 2;
}

/** A number as a table shows it: three digits that count. */
export function show(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(digits);
}

/** A share as a percentage. */
export function percent(share: number): string {
  return Number.isFinite(share) ? `${(share * 100).toFixed(1)} %` : "–";
}

/** A Markdown table. */
export function table(head: Row, rows: readonly Row[]): string {
  const rule = head.map((_, column) =>
    rows.every((row) => /^[\d–<]/.test(String(row[column]))) ? "---:" : "---"
  );
  return [head, rule, ...rows].map((row) => `| ${row.join(" | ")} |`).join(
    "\n",
  );
}

/** What a result was measured on. */
export interface Machine {
  cpu: string;
  cores: number;
  deno: string;
  date: string;
  /** Processes ready to run per core when the run began: over 0.2 the figures are noisy. */
  load: number;
}

/** The machine this runs on. */
export function machine(): Machine {
  const cores = navigator.hardwareConcurrency;
  let cpu = "unknown";
  try {
    const info = Deno.readTextFileSync("/proc/cpuinfo");
    cpu = /^model name\s*:\s*(.+)$/m.exec(info)?.[1] ?? cpu;
  } catch {
    // Not Linux.
  }
  const date = new Date().toISOString().slice(0, 16) + "Z";
  return {
    cpu,
    cores,
    deno: Deno.version.deno,
    date,
    load: Deno.loadavg()[0]! / cores,
  };
}

/** One line on the machine. */
export function describe({ cpu, cores, deno, date, load }: Machine): string {
  const noise = load > 0.2 ? `, **load ${load.toFixed(2)} per core**` : "";
  return `${cpu}, ${cores} cores, Deno ${deno}, ${date}${noise}`;
}

/** Shows progress on one line of the terminal, or a line now and then elsewhere. */
export function progress(text: string, end = false): void {
  if (!Deno.stderr.isTerminal()) {
    if (end) console.error(text);
    return;
  }
  const line = `\r\x1b[2K${text}${end ? "\n" : ""}`;
  Deno.stderr.writeSync(new TextEncoder().encode(line));
}

/** Writes a result as JSON and Markdown, and its plots, into results/, which is not committed. */
export async function save(
  name: string,
  result: unknown,
  markdown: string,
  plots: Readonly<Record<string, string>> = {},
): Promise<void> {
  const folder = new URL("results/", import.meta.url);
  await Deno.mkdir(folder, { recursive: true });
  const json = JSON.stringify(result, null, 2) + "\n";
  await Deno.writeTextFile(new URL(`${name}.json`, folder), json);
  await Deno.writeTextFile(new URL(`${name}.md`, folder), markdown + "\n");
  for (const [plot, svg] of Object.entries(plots)) {
    await Deno.writeTextFile(new URL(`${plot}.svg`, folder), svg);
  }
  console.error(`tests/bench/results/${name}.json and .md written`);
}

/** Makes a report and its plots the committed docs/benchmarks.md. */
export async function publish(
  markdown: string,
  plots: Readonly<Record<string, string>>,
): Promise<void> {
  const docs = new URL("../../docs/", import.meta.url);
  const pictures = Object.keys(plots).map((plot) => `![${plot}](${plot}.svg)`);
  const [title, ...rest] = markdown.split("\n\n");
  const page = [
    "<!-- deno-fmt-ignore-file -->",
    title,
    "Written by `deno task bench --docs`, which measures all of it in one run: Mien beside " +
    "[face-api](https://github.com/vladmandic/face-api) and [Human](https://github.com/vladmandic/human), both from npm " +
    "and in WASM as their documentation sets them up without a browser, and beside the same code on native ONNX " +
    "Runtime; one thread each, warm, taken in turn. Ratios first: they carry over to other machines better than " +
    "milliseconds do.",
    ...pictures,
    ...rest,
  ].join("\n\n");
  await Deno.writeTextFile(new URL("benchmarks.md", docs), page + "\n");
  for (const [plot, svg] of Object.entries(plots)) {
    await Deno.writeTextFile(new URL(`${plot}.svg`, docs), svg);
  }
}
