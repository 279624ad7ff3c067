import { resized } from "./photos.ts";
import { median, show, table } from "./report.ts";
import { type Bench, type Findings, interleave } from "./section.ts";
import type { AnalyzeOptions } from "../../src/types.ts";

/** Longest side of a webcam's frame. */
const FRAME = 640;
/** What a step asks for beyond the one before it. */
const STEPS: [string, AnalyzeOptions][] = [
  ["detect, align, expression", { attributes: ["expression"] }],
  ["and gender", { attributes: ["expression", "gender"] }],
  ["and guided backpropagation", {
    attributes: ["expression", "gender"],
    explain: "guidedBackprop",
  }],
];

/** Mini-Xception's whole real-time chain on a frame with one face: bytes to boxes, labels, gender and heatmap. */
export async function realTime(bench: Bench): Promise<Findings> {
  const frame = await resized(bench.photos[0]!, FRAME);
  const contender = await bench.contender("Mien");
  const ms = STEPS.map((): number[] => []);
  await interleave(
    bench,
    "real-time chain",
    [...STEPS.keys()],
    async (step, round) => {
      const options: AnalyzeOptions = {
        model: "expression_mini_xception",
        maxFaces: 1,
        ...STEPS[step]![1],
      };
      const reply = await contender.ask({ photos: [frame.path], options });
      if (reply.faces.length !== 1) throw new Error("Cannot measure: no face");
      if (round >= 0) ms[step]!.push(reply.ms);
    },
  );
  const rows = STEPS.map(([name], step) =>
    [name, show(median(ms[step]!)), show(Math.min(...ms[step]!))] as const
  );
  return {
    title:
      `Mini-Xception's real-time chain, one face in a frame of ${FRAME} px`,
    markdown: table(["steps", "median ms a frame", "least"], rows),
    figures: Object.fromEntries(
      STEPS.map(([name], step) => [`real-time ms, ${name}`, median(ms[step]!)]),
    ),
    data: ms,
  };
}
