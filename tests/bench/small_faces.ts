/**
 * How small a face the detection policy finds, alone and beside a large face, and what it costs.
 *
 *     python models/training/make_photos.py && deno run -A tests/bench/small_faces.ts
 *
 * @module
 */
import { createPipeline } from "../../src/pipeline/mod.ts";
import { iou } from "../../src/pipeline/postprocess.ts";
import { byPhoto, pastedHeads, PHOTOS } from "./made_photos.ts";
import {
  describe,
  machine,
  median,
  percent,
  progress,
  save,
  show,
  table,
} from "./report.ts";

/** Overlap from which a found face is the pasted one. */
const SAME = 0.3;

interface Group {
  set: string;
  side: number;
  photos: number;
  faces: number;
  /** Faces of that size found, and the photo's large face where it has one. */
  found: number;
  largeFound: number;
  extra: number;
  ms: number[];
  decodeMs: number[];
  detectMs: number[];
}

const started = machine();
const pipeline = await createPipeline({ workers: 0 });
await pipeline.ready;
const photos = byPhoto(await pastedHeads());
const groups = new Map<string, Group>();

for (const [index, [name, heads]] of photos.entries()) {
  progress(`${index + 1}/${photos.length} photos`);
  const [{ set, side }] = heads as [typeof heads[0]];
  const empty = { photos: 0, faces: 0, found: 0, largeFound: 0, extra: 0 };
  const group = groups.get(`${set} ${side}`) ??
    { set, side, ...empty, ms: [], decodeMs: [], detectMs: [] };
  groups.set(`${set} ${side}`, group);
  const bytes = await Deno.readFile(new URL(name, PHOTOS));
  const { faces, timing } = await pipeline.analyze(bytes);
  const hits = heads.map((head) =>
    faces.some((face) => iou(face.boundingBox, head.box) >= SAME)
  );
  const large = set.endsWith("esideLarge") ? hits.pop() : undefined;
  const found = hits.filter(Boolean).length;
  group.photos++;
  group.faces += hits.length;
  group.found += found;
  if (large) group.largeFound++;
  group.extra += Math.max(0, faces.length - found - (large ? 1 : 0));
  group.ms.push(timing.totalMs);
  group.decodeMs.push(timing.decodeMs);
  group.detectMs.push(timing.detectMs);
}
progress(`${photos.length} photos`, true);
await pipeline.close();

const rows = [...groups.values()].map((group) => ({
  set: group.set,
  side: group.side,
  photos: group.photos,
  faces: group.faces,
  found: group.found / group.faces,
  largeFound: group.set.endsWith("esideLarge")
    ? group.largeFound / group.photos
    : NaN,
  extra: group.extra,
  ms: median(group.ms),
  decodeMs: median(group.decodeMs),
  detectMs: median(group.detectMs),
}));
const markdown = `${describe(started)}; photos of 1920 x 1280

${
  table(
    [
      "set",
      "shorter side of the face, px",
      "photos",
      "faces",
      "found",
      "its large face found",
      "other faces found",
      "ms a photo",
      "decode",
      "detect",
    ],
    rows.map((row) => [
      row.set,
      row.side,
      row.photos,
      row.faces,
      percent(row.found),
      percent(row.largeFound),
      row.extra,
      show(row.ms),
      show(row.decodeMs),
      show(row.detectMs),
    ]),
  )
}`;
console.log(markdown);
await save("small_faces", { machine: started, rows }, markdown);
