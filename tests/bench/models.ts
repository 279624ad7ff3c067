import { ModelStore } from "../../src/pipeline/manifest.ts";
import type { ModelSpec } from "../../src/pipeline/manifest.ts";
import { readModelFiles } from "../../src/pipeline/model_files.ts";
import { createWasmBackend } from "../../src/pipeline/wasm.ts";
import { scatter } from "./plot.ts";
import { median, percent, show, table } from "./report.ts";
import { type Bench, type Findings, interleave } from "./section.ts";

const BATCHES = [1, 8] as const;
/** Runs in a row that one measurement takes the least of: one run alone is over before the clock settles. */
const RUNS = 8;
/** What the detector looks at first. */
const LOOK = { height: 224, width: 320 };

/** Every model alone, in WASM and one thread: milliseconds a face by itself and among eight, bytes, accuracy. */
export async function models(bench: Bench): Promise<Findings> {
  const store = await ModelStore.open(readModelFiles());
  const backend = createWasmBackend(store);
  const ms = new Map<string, number[]>();
  const tasks = store.specs.flatMap((spec) =>
    BATCHES.map((batch) => ({ spec, batch }))
  );
  await interleave(bench, "models", tasks, async ({ spec, batch }, round) => {
    const feeds = feedsOf(spec, batch);
    let least = Infinity;
    for (let run = 0; run < RUNS; run++) {
      const start = performance.now();
      await backend.run(spec.name, feeds);
      least = Math.min(least, performance.now() - start);
    }
    if (round < 0) return;
    const key = `${spec.name} ${batch}`;
    ms.set(key, [...ms.get(key) ?? [], least / batch]);
  });
  await backend.close();
  const rows = store.specs.map((spec) => ({
    name: spec.name,
    task: spec.task,
    mb: spec.bytes / 1e6,
    alone: median(ms.get(`${spec.name} 1`)!),
    amongEight: median(ms.get(`${spec.name} 8`)!),
    accuracy: spec.task === "expression" ? accuracies(spec) : [],
  }));
  const expression = rows.filter(({ accuracy }) => accuracy.length > 0);
  return {
    title: "Models alone, median ms of the least of eight runs",
    markdown: table(
      ["model", "ms a face", "of eight at once", "MB", "FERPlus", "FER2013"],
      rows.map(({ name, alone, amongEight, mb, accuracy }) => [
        name,
        show(alone),
        show(amongEight),
        mb.toFixed(2),
        percent(accuracy[0] ?? NaN),
        percent(accuracy[1] ?? NaN),
      ]),
    ) + "\n\nAccuracy is of the validation split, from the manifest; the " +
      `detector's time is for one look of ${LOOK.width}x${LOOK.height} pixels.`,
    figures: Object.fromEntries(rows.flatMap(({ name, alone, amongEight }) => [
      [`ms a face, ${name}`, alone],
      [`ms a face of eight, ${name}`, amongEight],
    ])),
    data: rows,
    plots: {
      models_speed: scatter(
        "Accuracy against time: one core, WASM, one face at a time",
        { title: "ms a face", from: 0 },
        { title: "FERPlus valid, majority, %" },
        expression.map(({ name, alone, accuracy }) => ({
          name,
          x: alone,
          y: accuracy[0]! * 100,
        })),
      ),
    },
  };
}

function accuracies({ metrics = [] }: ModelSpec): number[] {
  return metrics.flatMap(({ accuracy }) =>
    typeof accuracy === "number" ? [accuracy] : []
  ).slice(0, 2);
}

/** A batch of the size a model takes; what is in it does not matter to the time. */
function feedsOf(spec: ModelSpec, batch: number) {
  return Object.fromEntries(spec.inputs.map(({ name, shape }) => {
    const dims = shape.map((side) =>
      side === "batch"
        ? batch
        : typeof side === "string"
        ? LOOK[side as keyof typeof LOOK]
        : side
    );
    const length = dims.reduce((product, side) => product * side, 1);
    const data = Float32Array.from({ length }, (_, i) => Math.sin(i * 0.05));
    return [name, { data, dims }];
  }));
}
