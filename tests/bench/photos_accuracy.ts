/**
 * Accuracy through the whole service against the very same tiles fed bare.
 *
 *     python models/training/make_photos.py && deno task eval:photos
 *
 * @module
 */
import { createHandler } from "../../src/handlers/mod.ts";
import { decode } from "../../src/pipeline/decode.ts";
import { readHeader } from "../../src/pipeline/header.ts";
import { createPipeline, IMAGE_LIMITS } from "../../src/pipeline/mod.ts";
import { createWasmBackend } from "../../src/pipeline/wasm.ts";
import type { Analysis, Face } from "../../src/types.ts";
import {
  byPhoto,
  type PastedTile,
  pastedTiles,
  PHOTOS,
} from "./made_photos.ts";
import { describe, machine, median, progress, save, table } from "./report.ts";
import {
  type Outcome,
  summarize,
  SUMMARY_HEAD,
  summaryRow,
} from "./photos_summary.ts";
import { createTileReader } from "./tile_reader.ts";

/** The face of the answer that lies on a tile: its centre in the square, its size near enough. */
function faceOn(tile: PastedTile, faces: readonly Face[]): Face | undefined {
  return faces.find(({ boundingBox: box }) => {
    const aside = Math.abs(box.x + box.width / 2 - tile.x);
    const below = Math.abs(box.y + box.height / 2 - tile.y);
    const size = Math.max(box.width, box.height) / tile.side;
    return Math.max(aside, below) < tile.side / 2 && size > 0.4 && size < 2;
  });
}

/** Whether a face that belongs to no tile lies over one all the same: a double, or a wrong size. */
function faceOver(tiles: readonly PastedTile[], face: Face): boolean {
  const box = face.boundingBox;
  return tiles.some(({ x, y, side }) =>
    box.x < x + side / 2 && box.x + box.width > x - side / 2 &&
    box.y < y + side / 2 && box.y + box.height > y - side / 2
  );
}

const started = machine();
const pipeline = await createPipeline({ workers: 0 });
await pipeline.ready;
const handler = createHandler({ pipeline });
const backend = createWasmBackend(pipeline.models);
const spec = pipeline.models.get(pipeline.model);
const reader = createTileReader(backend, spec);
const photos = byPhoto(await pastedTiles());
const outcomes: Outcome[] = [];
const times: number[] = [];
let doubled = 0, elsewhere = 0;

for (const [index, [name, tiles]] of photos.entries()) {
  progress(`${index + 1}/${photos.length} photos`);
  const bytes = await Deno.readFile(new URL(name, PHOTOS));
  const picture = await decode(bytes, readHeader(bytes, IMAGE_LIMITS));
  const request = new Request("http://localhost/v1/analyze", {
    method: "POST",
    headers: { "content-type": "image/jpeg" },
    body: bytes,
  });
  const response = await handler(request);
  if (response.status !== 200) throw new Error(await response.text());
  const { faces, timing }: Analysis = await response.json();
  times.push(timing.totalMs);
  const matched = new Set<Face>();
  for (const tile of tiles) {
    const face = faceOn(tile, faces.filter((face) => !matched.has(face)));
    if (face) matched.add(face);
    const { pixels: _, ...truth } = tile;
    outcomes.push({
      ...truth,
      bare: await reader.bare(tile),
      cut: await reader.cut(picture, tile),
      ...(face ? { answered: face.expression!.label } : {}),
    });
  }
  for (const face of faces.filter((face) => !matched.has(face))) {
    if (faceOver(tiles, face)) doubled++;
    else elsewhere++;
  }
}
progress(`${photos.length} photos`, true);
await pipeline.close();
await backend.close();

const between = (low: number, high: number) =>
  outcomes.filter((row) => row.share >= low && row.share < high);
const groups = [
  summarize("all", outcomes),
  summarize("upright", outcomes.filter((row) => row.degrees === 0)),
  summarize("turned up to 15°", outcomes.filter((row) => row.degrees !== 0)),
  summarize("1/6 to 1/4 of the photo", between(0, 1 / 4)),
  summarize("1/4 to 1/3", between(1 / 4, 1 / 3)),
  summarize("1/3 to 1/2", between(1 / 3, 1)),
  ...[...new Set(outcomes.map((row) => row.label))].map((label) =>
    summarize(label, outcomes.filter((row) => row.label === label))
  ),
];
const markdown = `${describe(started)}; ${spec.name} ${
  spec.sha256.slice(0, 8)
}; ${photos.length} photos, ${elsewhere} faces where no tile is, ${doubled} more on tiles, median ${
  median(times).toFixed(1)
} ms a photo

${table(SUMMARY_HEAD, groups.map(summaryRow))}`;
console.log(markdown);
await save(
  "photos_accuracy",
  {
    machine: started,
    model: spec.name,
    sha256: spec.sha256,
    elsewhere,
    doubled,
    groups,
  },
  markdown,
);
