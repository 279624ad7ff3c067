import { median, show, table } from "./report.ts";
import { type Bench, type Findings, interleave } from "./section.ts";

/** Times every photo is sent in one measurement. */
const REPEATS = 4;

/** Photos per second of pools of one and two Workers, each kept busy. */
export async function throughput(bench: Bench): Promise<Findings> {
  const photos = Array.from({ length: REPEATS }, () => bench.photos).flat()
    .map((photo) => photo.path);
  const pools = [1, 2] as const;
  const rates: Record<number, number[]> = { 1: [], 2: [] };
  await interleave(bench, "throughput", pools, async (workers, round) => {
    const contender = await bench.contender(
      workers === 1 ? "Mien, 1 Worker" : "Mien, 2 Workers",
    );
    const { ms } = await contender.ask({ photos, together: 2 * workers });
    if (round >= 0) rates[workers]!.push(photos.length / ms * 1000);
  });
  const middle = (workers: number) => median(rates[workers]!);
  const best = (workers: number) => Math.max(...rates[workers]!);
  return {
    title: "Throughput at the pool",
    ratios: [{
      name: "photos per second, 2 Workers / 1 Worker",
      value: `${show(middle(2) / middle(1))} (of the best ${
        show(best(2) / best(1))
      })`,
      target: "≥ 1.8",
    }],
    markdown: table(
      ["Workers", "photos per second, median", "best", "peak MB"],
      await Promise.all(pools.map(async (workers) => [
        workers,
        show(middle(workers)),
        show(best(workers)),
        show(
          (await bench.contender(
            workers === 1 ? "Mien, 1 Worker" : "Mien, 2 Workers",
          )).peakMb,
        ),
      ])),
    ),
    figures: Object.fromEntries(
      pools.map((
        workers,
      ) => [`photos per second, ${workers} Workers`, middle(workers)]),
    ),
    data: rates,
  };
}
