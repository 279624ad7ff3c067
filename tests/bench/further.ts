import { photoWithoutFace } from "./photos.ts";
import { median, show, table } from "./report.ts";
import { type Bench, type Findings, interleave } from "./section.ts";

/** What each further face costs, and what a photo costs that has none. */
export async function further(bench: Bench): Promise<Findings> {
  const crowd = bench.photos.reduce((a, b) => a.faces > b.faces ? a : b);
  const none = await photoWithoutFace();
  const contender = await bench.contender("Mien");
  const counts = Array.from({ length: crowd.faces }, (_, index) => index + 1);
  const tasks = [
    ...counts.map((maxFaces) => ({ name: String(maxFaces), photo: crowd })),
    { name: "none", photo: none },
  ];
  const ms = new Map<string, number[]>(), detect: number[] = [];
  await interleave(
    bench,
    "further faces",
    tasks,
    async ({ name, photo }, round) => {
      const options = name === "none" ? {} : { maxFaces: Number(name) };
      const reply = await contender.ask({ photos: [photo.path], options });
      if (round < 0) return;
      ms.set(name, [...ms.get(name) ?? [], reply.ms]);
      if (name === "none") detect.push(reply.timing.detectMs!);
      else if (reply.faces.length !== Number(name)) {
        throw new Error(
          `Cannot measure: ${reply.faces.length} faces, not ${name}`,
        );
      }
    },
  );
  const middle = (name: string) => median(ms.get(name)!);
  const perFace = slope(counts, counts.map((count) => middle(String(count))));
  const least = slope(
    counts,
    counts.map((count) => Math.min(...ms.get(String(count))!)),
  );
  return {
    title: "Further faces, and none",
    ratios: [{
      name: "ms for each further face",
      value: `${show(perFace)} (of the minima ${show(least)})`,
      target: "≤ 8",
    }],
    markdown: table(
      ["photo", "faces", "median ms", "least ms"],
      tasks.map(({ name, photo }) => [
        photo.name,
        name === "none" ? 0 : name,
        show(middle(name)),
        show(Math.min(...ms.get(name)!)),
      ]),
    ) +
      `\n\nOf the photo without a face, ${
        show(median(detect))
      } ms are detection: it gets every look there is.`,
    figures: { "ms per further face": perFace, "no face ms": middle("none") },
    data: Object.fromEntries(ms),
  };
}

/** Least squares. */
function slope(xs: readonly number[], ys: readonly number[]): number {
  const mean = (values: readonly number[]) =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const mx = mean(xs), my = mean(ys);
  return mean(xs.map((x, i) => (x - mx) * (ys[i]! - my))) /
    mean(xs.map((x) => (x - mx) ** 2));
}
