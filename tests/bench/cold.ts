import { peakMb } from "./contender.ts";
import { TextLineStream } from "./lines.ts";
import { median, show, table } from "./report.ts";
import { type Bench, type Findings, interleave } from "./section.ts";

interface Start {
  answerMs: number;
  readyMs: number;
  peakMb: number;
}

/** From the start of a process to its first answer, in this thread and with a Worker. */
export async function cold(bench: Bench): Promise<Findings> {
  const photo = bench.photos[0]!;
  const starts: Start[][] = [[], []], flags = await startFlags();
  await interleave(bench, "cold start", [0, 1], async (workers, round) => {
    const start = await once(flags, workers, photo.path);
    if (round >= 0) starts[workers]!.push(start);
  });
  const of = (workers: number, key: keyof Start) =>
    starts[workers]!.map((start) => start[key]);
  const names = ["in this thread", "1 Worker"];
  return {
    title: "Cold start: a process spawned, until its first answer",
    ratios: [
      {
        name: "s from process start to first answer, 1 Worker",
        value: `${show(median(of(1, "answerMs")) / 1000)} (least ${
          show(Math.min(...of(1, "answerMs")) / 1000)
        })`,
        target: "≤ 0.8",
      },
      {
        name: "MB resident at most, after one photo, 1 Worker",
        value: show(median(of(1, "peakMb"))),
        target: "≤ 300",
      },
    ],
    markdown: table(
      [
        "",
        "first answer, median ms",
        "least",
        "of which until ready, median",
        "peak MB",
      ],
      names.map((name, workers) => [
        name,
        show(median(of(workers, "answerMs"))),
        show(Math.min(...of(workers, "answerMs"))),
        show(median(of(workers, "readyMs"))),
        show(median(of(workers, "peakMb"))),
      ]),
    ),
    figures: Object.fromEntries(names.flatMap((name, workers) => [
      [`cold start ms, ${name}`, median(of(workers, "answerMs"))],
      [`peak MB, ${name}`, median(of(workers, "peakMb"))],
    ])),
    data: { inThread: starts[0], worker: starts[1] },
  };
}

/** `deno task start` without its script: a cold start has its permissions and no more. */
async function startFlags(): Promise<string[]> {
  const file = new URL("../../deno.json", import.meta.url);
  const { tasks } = JSON.parse(await Deno.readTextFile(file));
  return (tasks.start.command as string).replaceAll("'", "").split(" ").slice(
    1,
    -1,
  );
}

async function once(
  flags: readonly string[],
  workers: number,
  photo: string,
): Promise<Start> {
  const script = new URL("cold_start.ts", import.meta.url).pathname;
  const begun = performance.now();
  const child = new Deno.Command(Deno.execPath(), {
    args: [...flags, script, String(workers), photo],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream())
    .pipeThrough(new TextLineStream()).getReader();
  const { value, done } = await lines.read();
  const answerMs = performance.now() - begun;
  const peak = peakMb(child.pid);
  if (!done) child.kill();
  await child.status;
  if (done) throw new Error("Cannot measure: the process ended");
  const { readyMs } = JSON.parse(value) as { readyMs: number };
  return { answerMs, readyMs, peakMb: peak };
}
