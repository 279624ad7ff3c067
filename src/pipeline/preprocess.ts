import type { Landmarks, Point } from "../types.ts";
import { type Color, type RawImage, type Similarity, warp } from "./image.ts";

/** Five points in shares (0 to 1) of a model's input, where a face's landmarks are to land. */
export type Template = Record<keyof Landmarks, readonly [number, number]>;

/** What a model wants to see: its input's size, planes and scaling, as the manifest says. */
export interface InputSpec {
  /** The tensor's name. */
  name: string;
  /** `["batch", channels, height, width]`. */
  shape: readonly (number | string)[];
  /** Which planes, in which order. */
  color: Color;
  /** Subtracted from pixel / 255, one per plane. */
  mean: readonly number[];
  /** Divides what is left, one per plane. */
  std: readonly number[];
  /** Where the five landmarks land; absent for models that take no aligned face. */
  template?: Template;
}

/** The order of the five points everywhere: YuNet's, the landmark net's and the manifest's. */
export const LANDMARK_ORDER: readonly (keyof Landmarks)[] = [
  "rightEye",
  "leftEye",
  "noseTip",
  "rightMouthCorner",
  "leftMouthCorner",
];

/**
 * The similarity (rotation, uniform scale, shift) that maps a model's input onto a face, least
 * squares over the five points.
 *
 * @param landmarks Pixels of the picture, origin at its corner.
 * @param template Where they land, 0 to 1.
 * @param size The input's side in pixels.
 */
export function align(
  landmarks: Landmarks,
  template: Template,
  size: number,
): Similarity {
  const from = LANDMARK_ORDER.map((name) =>
    template[name].map((share) => share * size - 0.5)
  );
  const to = LANDMARK_ORDER.map((
    name,
  ) => [landmarks[name].x - 0.5, landmarks[name].y - 0.5]);
  const n = LANDMARK_ORDER.length;
  const mean = (points: number[][], axis: number) =>
    points.reduce((sum, point) => sum + point[axis]!, 0) / n;
  const [px, py, qx, qy] = [
    mean(from, 0),
    mean(from, 1),
    mean(to, 0),
    mean(to, 1),
  ];
  let dot = 0, cross = 0, norm = 0;
  for (let i = 0; i < n; i++) {
    const u = from[i]![0]! - px, v = from[i]![1]! - py;
    const x = to[i]![0]! - qx, y = to[i]![1]! - qy;
    dot += u * x + v * y;
    cross += u * y - v * x;
    norm += u * u + v * v;
  }
  const a = dot / norm, b = cross / norm;
  return { a, b, tx: qx - a * px + b * py, ty: qy - b * px - a * py };
}

/**
 * The square crop around a box, turned by an angle: what the landmark net sees.
 *
 * @param centre Pixels of the picture, origin at its corner.
 * @param side Side of the crop in picture pixels.
 * @param degrees Clockwise rotation of the face to undo.
 * @param size Side of the input in pixels.
 */
export function squareCrop(
  centre: Point,
  side: number,
  degrees: number,
  size: number,
): Similarity {
  const scale = side / size, angle = degrees * Math.PI / 180;
  const a = scale * Math.cos(angle), b = scale * Math.sin(angle);
  const middle = (size - 1) / 2;
  return {
    a,
    b,
    tx: centre.x - 0.5 - a * middle + b * middle,
    ty: centre.y - 0.5 - b * middle - a * middle,
  };
}

/** Maps a point in shares of a square input back to picture pixels. */
export function unproject(
  map: Similarity,
  x: number,
  y: number,
  size: number,
): Point {
  const u = x * size - 0.5, v = y * size - 0.5;
  return {
    x: map.a * u - map.b * v + map.tx + 0.5,
    y: map.b * u + map.a * v + map.ty + 0.5,
  };
}

/** Writes one picture, seen through a similarity, into a batch: `(pixel / 255 - mean) / std`. */
export function toTensor(
  image: RawImage,
  map: Similarity,
  spec: InputSpec,
  into: Float32Array,
  index: number,
): void {
  const [height, width] = [Number(spec.shape[2]), Number(spec.shape[3])];
  const samples = warp(image, map, width, height, spec.color);
  scaleInto(samples, spec, into, index * samples.length);
}

/** Scales planes of 0 to 255 as the model wants them. */
export function scaleInto(
  samples: Float32Array,
  spec: InputSpec,
  into: Float32Array,
  offset: number,
): void {
  const planes = spec.mean.length, area = samples.length / planes;
  for (let plane = 0; plane < planes; plane++) {
    const gain = 1 / (255 * spec.std[plane]!),
      bias = spec.mean[plane]! / spec.std[plane]!;
    if (samples === into && gain === 1 && bias === 0) continue;
    for (let i = plane * area; i < (plane + 1) * area; i++) {
      into[offset + i] = samples[i]! * gain - bias;
    }
  }
}

/** A rectangle of a picture in its pixels; it may reach beyond the edges. */
export interface Region {
  /** Left edge. */
  x: number;
  /** Top edge. */
  y: number;
  /** Pixels across. */
  width: number;
  /** Pixels down. */
  height: number;
}

/**
 * A picture, or a region of it, for a detector: longest side scaled to `longest`, top left, padded
 * with black to multiples of 32.
 */
export function letterbox(
  image: RawImage,
  longest: number,
  spec: InputSpec,
  region: Region = { x: 0, y: 0, width: image.width, height: image.height },
): { data: Float32Array; width: number; height: number; scale: number } {
  const scale = Math.max(region.width, region.height) / longest;
  const pad = (side: number) =>
    Math.max(32, Math.ceil(side / scale / 32 - 1e-6) * 32);
  const width = pad(region.width),
    height = pad(region.height),
    t = scale / 2 - 0.5;
  const map = { a: scale, b: 0, tx: region.x + t, ty: region.y + t };
  const samples = warp(image, map, width, height, spec.color);
  scaleInto(samples, spec, samples, 0);
  return { data: samples, width, height, scale };
}
