import type { BoundingBox, Point } from "../types.ts";
import type { Backend } from "./backend.ts";
import type { RawImage } from "./image.ts";
import type { ModelSpec } from "./manifest.ts";
import { orient } from "./orient.ts";
import {
  decodeDetections,
  type Detection,
  nms,
  toLandmarks,
} from "./postprocess.ts";
import { letterbox, type Region } from "./preprocess.ts";

/** Longest side, in detector pixels, of the three looks at a picture. */
const LOOKS = [320, 640, 1920] as const;
/** The last look is taken in tiles of this side, overlapping so that no small face is cut. */
const TILE = 640;
const OVERLAP = 64;
/** Shorter side, in detector pixels, under which faces are near the limit of what a look can see. */
const SMALL = 24;
/** Candidates this good, yet not good enough, and this small are looked at again close up. */
const WEAK = 0.15;
const WEAK_SIDE = 40;
/** A finer look that has not even a candidate like this is not followed by the finest. */
const HINT = 0.05;
/** Side of a close look in detector pixels, its width in boxes, and how many are taken at most. */
const CLOSE = { side: 96, boxes: 2.5, most: 5 } as const;
/**
 * A face seen the right way up scores about 0.92; one upside down still passes for upright at 0.8,
 * with its points in the wrong places.
 */
const SURE = 0.88;
/** EXIF orientations that turn a picture clockwise by 0 to 3 quarters. */
const TURNS = [1, 6, 3, 8] as const;

/** A picture whose pixels are `scale` full-size upright pixels wide. */
export interface Scaled {
  image: RawImage;
  scale: number;
}

/** What the detector needs from the engine. */
export interface DetectContext {
  backend: Backend;
  spec: ModelSpec;
  minScore: number;
  signal?: AbortSignal;
  /** The picture with its longest side at least this long, where the file has so many pixels. */
  picture(longestSide: number): Promise<Scaled>;
}

/**
 * Finds faces, largest first, in full-size upright pixels.
 *
 * Every picture gets one cheap look, and each doubtful candidate in it a close one. A finer look at
 * the whole follows only where nothing was found, or faces so small that others must have been
 * missed, the finest only where the finer one gives a hint, and both only where the picture has the
 * pixels for them: a portrait never pays for the crowd.
 * Where no face is sure the picture is also looked at upside down and lying on its sides, and of
 * two readings of one face the better stays.
 */
export async function detect(context: DetectContext): Promise<Detection[]> {
  const [first, second, third] = LOOKS;
  const picture = await context.picture(first);
  const full = Math.max(picture.image.width, picture.image.height) *
    picture.scale;
  const good = (candidates: Detection[]) =>
    nms(candidates.filter((face) => face.score >= context.minScore));

  let candidates = await look(context, picture, first);
  candidates = [
    ...candidates,
    ...await lookClosely(context, picture, candidates, full / first),
  ];
  let faces = good(candidates);
  let hinted = false;
  if (full > first * 1.25 && unsure(faces, full / first)) {
    const finer = await context.picture(second);
    const seen = await look(context, finer, second);
    hinted = seen.length > 0;
    candidates = [
      ...candidates,
      ...seen,
      ...await lookClosely(context, finer, seen, full / second),
    ];
    faces = good(candidates);
  }
  for (const turns of [2, 1, 3]) {
    if (faces.some((face) => face.score >= SURE)) break;
    const turned = { ...picture, image: orient(picture.image, TURNS[turns]!) };
    const found = await look(context, turned, first);
    candidates = [
      ...candidates,
      ...found.map((face) => turnBack(face, picture, turns)),
    ];
    faces = good(candidates);
  }
  if (hinted && full > second * 1.25 && unsure(faces, full / second)) {
    const found = await lookInTiles(
      context,
      await context.picture(third),
      Math.min(full, third),
    );
    faces = good([...candidates, ...found]);
  }
  const area = ({ boundingBox }: Detection) =>
    boundingBox.width * boundingBox.height;
  return faces.sort((a, b) => area(b) - area(a));
}

/** Whether a look of `unit` full-size pixels per detector pixel may have missed small faces. */
function unsure(faces: readonly Detection[], unit: number): boolean {
  return faces.length === 0 ||
    faces.some(({ boundingBox: box }) =>
      Math.min(box.width, box.height) < SMALL * unit
    );
}

/** Looks at the best doubtful small candidates one by one, each filling a small input. */
async function lookClosely(
  context: DetectContext,
  picture: Scaled,
  candidates: readonly Detection[],
  unit: number,
): Promise<Detection[]> {
  const { scale } = picture;
  const found: Detection[] = [];
  const doubtful: Detection[] = [];
  for (
    const candidate of nms(candidates.filter(({ score }) => score >= WEAK))
  ) {
    const { boundingBox: box, score } = candidate;
    const known = found.some((face) => covers(face.boundingBox, box));
    if (score >= context.minScore) found.push(candidate);
    else if (!known && Math.min(box.width, box.height) < WEAK_SIDE * unit) {
      doubtful.push(candidate);
    }
  }
  const close: Detection[] = [];
  for (const { boundingBox: box } of doubtful.slice(0, CLOSE.most)) {
    const side = Math.max(box.width, box.height) * CLOSE.boxes;
    const region = {
      x: (box.x + box.width / 2 - side / 2) / scale,
      y: (box.y + box.height / 2 - side / 2) / scale,
      width: side / scale,
      height: side / scale,
    };
    close.push(...await look(context, picture, CLOSE.side, region));
  }
  return close;
}

/** Whether the middle of `inner` lies in `outer`. */
function covers(outer: BoundingBox, inner: BoundingBox): boolean {
  const x = inner.x + inner.width / 2 - outer.x,
    y = inner.y + inner.height / 2 - outer.y;
  return x >= 0 && y >= 0 && x <= outer.width && y <= outer.height;
}

/** One run of the detector: candidates of `HINT` score and better, in full-size pixels. */
async function look(
  { backend, spec, minScore, signal }: DetectContext,
  { image, scale }: Scaled,
  longest: number,
  region?: Region,
): Promise<Detection[]> {
  const input = spec.inputs[0]!;
  const box = letterbox(image, longest, input, region);
  const feeds = {
    [input.name]: { data: box.data, dims: [1, 3, box.height, box.width] },
  };
  const outputs = await backend.run(spec.name, feeds, signal ? { signal } : {});
  const found = decodeDetections(
    outputs,
    box.width,
    box.scale * scale,
    Math.min(HINT, minScore),
  );
  if (!region) return found;
  return found.map((face) => shift(face, region.x * scale, region.y * scale));
}

/** A look at `longest` pixels, one overlapping square tile after another. */
async function lookInTiles(
  context: DetectContext,
  picture: Scaled,
  longest: number,
): Promise<Detection[]> {
  const { width, height } = picture.image;
  const unit = Math.max(width, height) / longest;
  const side = TILE * unit, step = (TILE - OVERLAP) * unit;
  const found: Detection[] = [];
  for (let y = 0; y === 0 || y + OVERLAP * unit < height; y += step) {
    for (let x = 0; x === 0 || x + OVERLAP * unit < width; x += step) {
      const region = {
        x,
        y,
        width: Math.min(side, width - x),
        height: Math.min(side, height - y),
      };
      const tile = Math.max(region.width, region.height) / unit;
      found.push(...await look(context, picture, tile, region));
    }
  }
  return found;
}

function mapPoints(face: Detection, map: (point: Point) => Point): Detection {
  const { x, y, width, height } = face.boundingBox;
  const [p, q] = [map({ x, y }), map({ x: x + width, y: y + height })];
  const points = Object.values(face.landmarks) as Point[];
  return {
    score: face.score,
    boundingBox: {
      x: Math.min(p.x, q.x),
      y: Math.min(p.y, q.y),
      width: Math.abs(p.x - q.x),
      height: Math.abs(p.y - q.y),
    },
    landmarks: toLandmarks((index) => map(points[index]!)),
  };
}

function shift(face: Detection, dx: number, dy: number): Detection {
  return mapPoints(face, ({ x, y }) => ({ x: x + dx, y: y + dy }));
}

/** A face found in the picture turned clockwise, back in the upright picture. */
function turnBack(
  face: Detection,
  { image, scale }: Scaled,
  turns: number,
): Detection {
  const width = image.width * scale, height = image.height * scale;
  return mapPoints(
    face,
    ({ x, y }) =>
      turns === 1
        ? { x: y, y: height - x }
        : turns === 2
        ? { x: width - x, y: height - y }
        : { x: width - y, y: x },
  );
}
