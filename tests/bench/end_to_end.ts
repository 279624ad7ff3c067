import { type Compared, compareFaces } from "./faces.ts";
import { bars } from "./plot.ts";
import { median, show, table } from "./report.ts";
import {
  type Bench,
  type ContenderName,
  type Findings,
  interleave,
} from "./section.ts";
import type { Reading } from "./serve.ts";

const NAMES: ContenderName[] = [
  "Mien",
  "Mien, 1 Worker",
  "face-api",
  "Human",
  "native",
];
const PLOTTED: ContenderName[] = ["Mien", "face-api", "Human"];
const STAGES = ["decodeMs", "detectMs", "alignMs", "classifyMs"];

/** A photo's bytes to its faces: us, face-api, Human, and our engine on native ONNX Runtime. */
export async function endToEnd(bench: Bench): Promise<Findings> {
  const { photos } = bench;
  const ms = new Map<string, number[]>(), readings = new Map<string, Reading>();
  const add = (key: string, value: number) =>
    ms.set(key, [...ms.get(key) ?? [], value]);
  const tasks = photos.flatMap((photo) =>
    NAMES.map((name) => ({ photo, name }))
  );
  await interleave(
    bench,
    "end to end",
    tasks,
    async ({ photo, name }, round) => {
      const contender = await bench.contender(name);
      const reply = await contender.ask({ photos: [photo.path] });
      if (round < 0) return;
      const key = `${name}, ${photo.name}`;
      add(key, reply.ms);
      readings.set(key, reply);
      for (const stage of STAGES) {
        if (stage in reply.timing) add(`${key} ${stage}`, reply.timing[stage]!);
      }
    },
  );

  const middle = (key: string) => median(ms.get(key) ?? [NaN]);
  const least = (key: string) => Math.min(...ms.get(key) ?? [NaN]);
  const ratio = (a: ContenderName, b: ContenderName, of = middle) =>
    median(
      photos.map(({ name }) => of(`${a}, ${name}`) / of(`${b}, ${name}`)),
    );
  const both = (a: ContenderName, b: ContenderName) =>
    `${show(ratio(a, b))} (of the minima ${show(ratio(a, b, least))})`;
  const rows = photos.map((photo) => [
    photo.name,
    photo.faces,
    ...NAMES.map((name) =>
      `${show(middle(`${name}, ${photo.name}`))} / ${
        show(least(`${name}, ${photo.name}`))
      }`
    ),
    ...["face-api", "Human"].map((name) =>
      show(middle(`${name}, ${photo.name}`) / middle(`Mien, ${photo.name}`))
    ),
    show(middle(`Mien, ${photo.name}`) / middle(`native, ${photo.name}`)),
  ]);
  const stages = photos.map((photo) => [
    photo.name,
    ...["Mien", "native"].flatMap((name) =>
      STAGES.map((stage) => show(middle(`${name}, ${photo.name} ${stage}`)))
    ),
    show(middle(`face-api, ${photo.name} decodeMs`)),
  ]);
  const [faces, beside] = (["face-api", "Human"] as const).map((name) =>
    compareFaces(photos, readings, ["Mien", name])
  ) as [Compared, Compared];
  const peaks = await Promise.all(NAMES.map(async (name) => [
    name,
    show((await bench.contender(name)).peakMb),
  ]));
  return {
    title: "End to end, median / least ms",
    ratios: [
      {
        name: "face-api / Mien, bytes to faces, median over the photos",
        value: both("face-api", "Mien"),
        target: "≥ 8",
      },
      {
        name: "face-api / Mien behind a Worker",
        value: both("face-api", "Mien, 1 Worker"),
        target: "≥ 8",
      },
      {
        name: "Mien / native ONNX Runtime, one thread",
        value: both("Mien", "native"),
        target: "≤ 2",
      },
      {
        name: "Human / Mien, bytes to faces, median over the photos",
        value: both("Human", "Mien"),
        target: "> 1",
      },
      faces.ratio,
      beside.ratio,
    ],
    markdown: [
      table(
        [
          "photo",
          "faces",
          ...NAMES,
          "face-api / Mien",
          "Human / Mien",
          "Mien / native",
        ],
        rows,
      ),
      "Stages, median ms; native columns are the same code on native ONNX Runtime:",
      table(
        [
          "photo",
          "decode",
          "detect",
          "align",
          "classify",
          "native: decode",
          "detect",
          "align",
          "classify",
          "face-api: decode",
        ],
        stages,
      ),
      faces.markdown,
      beside.markdown,
      "Peak resident memory, MB:",
      table(["process", "MB"], peaks),
    ].join("\n\n"),
    figures: Object.fromEntries(
      NAMES.map((name) => [
        `end to end ms, ${name}`,
        median(photos.map((photo) => middle(`${name}, ${photo.name}`))),
      ]),
    ),
    data: {
      ms: Object.fromEntries(ms),
      faces: faces.data,
      besideHuman: beside.data,
    },
    plots: {
      benchmarks: bars(
        "A photo of 1920 px, bytes to expressions, one core, WASM",
        "median ms",
        PLOTTED,
        photos.map((photo) => ({
          name: `${photo.faces} faces`,
          values: PLOTTED.map((name) => middle(`${name}, ${photo.name}`)),
        })),
      ),
    },
  };
}
