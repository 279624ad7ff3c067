/**
 * How many action units the service finds on faces that are not from a laboratory: without a
 * neutral, beside the same face altered, and beside a stranger's. On the portrait of the tests and the sample photos of
 * face-api. Writes models/training/studies/wild_units.json.
 *
 *     (cd tests/bench/peers && deno install --frozen); deno task eval:units
 *
 * @module
 */
import { createHandler } from "../../src/handlers/mod.ts";
import { createPipeline } from "../../src/pipeline/mod.ts";
import type { Analysis, Face } from "../../src/types.ts";
import { samplePhotos } from "./photos.ts";
import { percent, table } from "./report.ts";
import { ALTERED, openPhoto, takeView, type View } from "./wild_views.ts";

const STUDY = new URL(
  "../../models/training/studies/wild_units.json",
  import.meta.url,
);
const COMMAND = "deno task eval:units";

/** One face beside one reference. */
interface Reading {
  /** Units that were found. */
  active: string[];
  /** Share of the face that passes the lowest and the third of the five thresholds; absent without a reference. */
  passed?: { lowest: number; third: number };
}

const pipeline = await createPipeline({ workers: 0 });
await pipeline.ready;
const handler = createHandler({ pipeline });
const spec = pipeline.models.forTask("actionUnits");
const units = spec.outputs[0]!.labels!;

/** The faces of a picture as the service answers; with a neutral also the map of the largest. */
async function ask(
  image: Uint8Array<ArrayBuffer>,
  query: string,
  neutral?: Uint8Array<ArrayBuffer>,
): Promise<Face[]> {
  const body = new FormData();
  body.set("image", new Blob([image]));
  if (neutral) body.set("neutral", new Blob([neutral]));
  const response = await handler(
    new Request(`http://localhost/v1/analyze?${query}`, {
      method: "POST",
      body,
    }),
  );
  if (response.status !== 200) throw new Error(await response.text());
  const answer: Analysis = await response.json();
  return answer.faces;
}

async function read(
  face: Uint8Array<ArrayBuffer>,
  neutral?: Uint8Array<ArrayBuffer>,
): Promise<Reading> {
  const explain = neutral ? "&explain=difference" : "";
  const query = `attributes=actionUnits&maxFaces=1${explain}`;
  const [found] = await ask(face, query, neutral);
  const active = found!.actionUnits!.filter((unit) => unit.active)
    .map(({ au }) => au);
  if (!neutral) return { active };
  const { min, max, values } = found!.explanation!.grid;
  const counts = values.map((value) => Math.round(min + value * (max - min)));
  const share = (least: number) =>
    counts.filter((count) => count >= least).length / counts.length;
  return { active, passed: { lowest: share(1), third: share(3) } };
}

/** Whether the largest face of a view is the one it was cut for. */
async function isSeen(view: View): Promise<boolean> {
  const [face] = await ask(await takeView(view), "maxFaces=1");
  if (!face) return false;
  const { x, y, width, height } = face.normalizedBoundingBox;
  return Math.abs(x + width / 2 - 0.5) < 0.15 &&
    Math.abs(y + height / 2 - 0.5) < 0.15;
}

const views: View[] = [], labels: string[] = [], photos: string[] = [];
const portrait = new URL("../testdata/images/astronaut.jpg", import.meta.url);
const paths = [portrait.pathname, ...samplePhotos().map(({ path }) => path)];
for (const path of paths) {
  const name = path.split("/").at(-1)!;
  const bytes = await Deno.readFile(path).catch(() => undefined);
  if (!bytes) {
    console.error(`${name} is not there: left out`);
    continue;
  }
  photos.push(name);
  const photo = await openPhoto(bytes);
  for (const face of await ask(bytes, "attributes=expression,landmarks")) {
    const view = { photo, face, photoIndex: photos.length };
    if (!await isSeen(view)) continue;
    views.push(view);
    labels.push(face.expression!.label);
  }
}
if (views.length < 2) {
  console.error(
    "Nothing to measure: install the packages of tests/bench/peers",
  );
  Deno.exit(0);
}

const taken = await Promise.all(views.map((view) => takeView(view)));
const conditions: { name: string; readings: Reading[] }[] = [];
conditions.push({
  name: "no neutral",
  readings: await inTurn(taken, (face) => read(face)),
});
for (const { name, alter } of ALTERED) {
  conditions.push({
    name: `itself, ${name}`,
    readings: await inTurn(
      taken,
      async (face, i) => await read(face, await takeView(views[i]!, alter)),
    ),
  });
}
conditions.push({
  name: "a stranger's face",
  readings: await inTurn(
    taken,
    async (face, i) => await read(face, taken[stranger(i)]!),
  ),
});
await pipeline.close();

/** The next face of another photo; a face of the same one where there is but one photo. */
function stranger(at: number): number {
  for (let step = 1; step < views.length; step++) {
    const other = (at + step) % views.length;
    if (views[other]!.photoIndex !== views[at]!.photoIndex) return other;
  }
  return (at + 1) % views.length;
}

async function inTurn<T, R>(
  items: readonly T[],
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  for (const [index, item] of items.entries()) {
    results.push(await work(item, index));
  }
  return results;
}

function mean(values: readonly number[]): number {
  const sum = values.reduce((sum, value) => sum + value, 0);
  return Number((sum / values.length).toFixed(4));
}

const [alone] = conditions;
const rows = conditions.map(({ name, readings }) => {
  const passed = readings.flatMap((reading) => reading.passed ?? []);
  const further = readings.map(({ active }, i) =>
    active.filter((au) => !alone!.readings[i]!.active.includes(au)).length
  );
  const fired = (of: readonly Reading[]) =>
    mean(of.map(({ active }) => active.length / units.length));
  const readAs = (label: string) =>
    readings.filter((_, i) => labels[i] === label);
  return {
    reference: name,
    fired: fired(readings),
    firedOnCalm: fired(readAs("neutral")),
    lipCornersOfHappy: mean(
      readAs("happiness").map(({ active }) => Number(active.includes("AU12"))),
    ),
    furtherThanAlone: mean(further.map((count) => count / units.length)),
    ...(passed.length > 0
      ? {
        lowest: mean(passed.map(({ lowest }) => lowest)),
        lowestMost: mean([Math.max(...passed.map(({ lowest }) => lowest))]),
        third: mean(passed.map(({ third }) => third)),
      }
      : {}),
    units: Object.fromEntries(
      units.map((au) => [
        au,
        mean(readings.map(({ active }) => Number(active.includes(au)))),
      ]),
    ),
  };
});
const report = {
  model: spec.name,
  sha256: spec.sha256,
  command: COMMAND,
  photos,
  faces: views.length,
  calmFaces: labels.filter((label) => label === "neutral").length,
  happyFaces: labels.filter((label) => label === "happiness").length,
  rows,
};
await Deno.writeTextFile(STUDY, JSON.stringify(report, null, 2) + "\n");
console.log(
  `${views.length} faces of ${photos.length} photos, ${report.calmFaces} read as neutral, ${report.happyFaces} as happiness\n\n` +
    table(
      [
        "beside",
        "found",
        "found on calm",
        "AU12 on happy",
        "that were not found alone",
        "map",
      ],
      rows.map((row) => [
        row.reference,
        percent(row.fired),
        percent(row.firedOnCalm),
        percent(row.lipCornersOfHappy),
        percent(row.furtherThanAlone),
        percent(row.lowest ?? NaN),
      ]),
    ),
);
