import type { BoundingBox, Landmarks, Point, Score } from "../types.ts";
import { LANDMARK_ORDER } from "./preprocess.ts";

/** A face as the detector sees it, in pixels of the picture. */
export interface Detection {
  boundingBox: BoundingBox;
  score: number;
  landmarks: Landmarks;
}

/** A named model output. */
export interface Tensor {
  /** Values, the last axis fastest. */
  data: Float32Array;
  /** Length of each axis. */
  dims: readonly number[];
}

/** YuNet's feature strides in pixels of its input. */
export const STRIDES: readonly number[] = [8, 16, 32];

/**
 * YuNet's twelve outputs to faces with `score >= minScore`, in picture pixels.
 *
 * One row per cell, row-major; the score is the root of class and objectness; box centre and
 * points are offsets in cells, width and height are logarithms of cells.
 */
export function decodeDetections(
  outputs: Record<string, Tensor>,
  width: number,
  scale: number,
  minScore: number,
): Detection[] {
  const found: Detection[] = [];
  for (const stride of STRIDES) {
    const [cls, obj, box, points] = ["cls", "obj", "bbox", "kps"].map((name) =>
      outputs[`${name}_${stride}`]!.data
    ) as [Float32Array, Float32Array, Float32Array, Float32Array];
    const columns = width / stride, unit = stride * scale;
    for (let cell = 0; cell < cls.length; cell++) {
      const score = Math.sqrt(cls[cell]! * obj[cell]!);
      if (!(score >= minScore)) continue;
      const column = cell % columns, row = Math.floor(cell / columns);
      const w = Math.exp(box[cell * 4 + 2]!) * unit,
        h = Math.exp(box[cell * 4 + 3]!) * unit;
      const x = (column + box[cell * 4]!) * unit - w / 2;
      const y = (row + box[cell * 4 + 1]!) * unit - h / 2;
      const landmarks = toLandmarks((k) => ({
        x: (column + points[cell * 10 + 2 * k]!) * unit,
        y: (row + points[cell * 10 + 2 * k + 1]!) * unit,
      }));
      found.push({
        boundingBox: { x, y, width: w, height: h },
        score,
        landmarks,
      });
    }
  }
  return found;
}

/** Five points by index, in the one order, to named landmarks. */
export function toLandmarks(point: (index: number) => Point): Landmarks {
  return Object.fromEntries(
    LANDMARK_ORDER.map((name, index) => [name, point(index)]),
  ) as unknown as Landmarks;
}

/** Intersection over union of two boxes, 0 to 1. */
export function iou(a: BoundingBox, b: BoundingBox): number {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  if (width <= 0 || height <= 0) return 0;
  const both = width * height;
  return both / (a.width * a.height + b.width * b.height - both);
}

/** Candidates weighed at most: work grows with their square, and a score of 0 makes all cells some. */
const MAX_CANDIDATES = 3000;

/** Greedy non-maximum suppression, best score first. */
export function nms(
  detections: readonly Detection[],
  minSuppression = 0.3,
): Detection[] {
  const kept: Detection[] = [];
  const best = [...detections].sort((a, b) => b.score - a.score);
  for (const candidate of best.slice(0, MAX_CANDIDATES)) {
    if (
      kept.every((face) =>
        iou(face.boundingBox, candidate.boundingBox) <= minSuppression
      )
    ) {
      kept.push(candidate);
    }
  }
  return kept;
}

/** In-plane rotation in degrees, clockwise positive, from the line between the eyes. */
export function roll(landmarks: Landmarks): number {
  const { rightEye, leftEye } = landmarks;
  return Math.atan2(leftEye.y - rightEye.y, leftEye.x - rightEye.x) * 180 /
    Math.PI;
}

/** Distance between the eye points in pixels. */
export function interOcular({ rightEye, leftEye }: Landmarks): number {
  return Math.hypot(leftEye.x - rightEye.x, leftEye.y - rightEye.y);
}

/** Probabilities of logits divided by a temperature; sums to 1. */
export function softmax(logits: ArrayLike<number>, temperature = 1): number[] {
  const scaled = Array.from(logits, (value) => value / temperature);
  const top = Math.max(...scaled);
  const powers = scaled.map((value) => Math.exp(value - top));
  const sum = powers.reduce((total, value) => total + value, 0);
  return powers.map((value) => value / sum);
}

/**
 * The classes whose `1 - score` is at most the threshold of a coverage, which is interpolated
 * between the ones that were calibrated (split conformal prediction, least ambiguous sets).
 *
 * @param scores Best first.
 * @param thresholds By coverage, as text.
 */
export function labelSet<Label extends string>(
  scores: readonly Score<Label>[],
  thresholds: Readonly<Record<string, number>>,
  coverage: number,
): Label[] {
  const known = Object.entries(thresholds)
    .map(([rate, threshold]) => ({ rate: Number(rate), threshold }))
    .sort((a, b) => a.rate - b.rate);
  const above = known.find(({ rate }) => rate >= coverage) ?? known.at(-1)!;
  const below = known.findLast(({ rate }) => rate <= coverage) ?? known[0]!;
  const share = above.rate > below.rate
    ? (coverage - below.rate) / (above.rate - below.rate)
    : 0;
  const threshold = below.threshold +
    share * (above.threshold - below.threshold);
  return scores.filter(({ score }) => 1 - score <= threshold).map(({ label }) =>
    label
  );
}

/** Labels with their probabilities, best first; ties keep the model's order. */
export function rank<Label extends string>(
  labels: readonly Label[],
  probabilities: readonly number[],
): Score<Label>[] {
  return labels
    .map((label, index) => ({ label, score: probabilities[index]! }))
    .sort((a, b) => b.score - a.score);
}
