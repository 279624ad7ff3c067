import type { BoundingBox, Face, Landmarks, Point } from "../types.ts";

/** A face known from earlier frames. Plain data: it may be cloned, posted and stored. */
export interface Track {
  /** Stays with the face; 1 is the first. */
  id: number;
  /** The face as it was measured last. */
  seen: Face;
  /** When that was, in milliseconds of the caller's clock. */
  seenMs: number;
  /** How it moves, in pixels per millisecond. */
  velocity: Point;
  /** The face as it was shown last: smoothed. */
  shown: Face;
}

/** As much of a track as tells where its face would be by now. */
export interface Sighting {
  /** As the face was measured last. */
  seen: Pick<Face, "boundingBox" | "landmarks">;
  /** When that was, in milliseconds of the caller's clock. */
  seenMs: number;
  /** How it moves, in pixels per millisecond. */
  velocity: Point;
}

/** Farthest a face may be from where its track expects it, in sides of its box. */
const GATE = 0.8;
/** What a change of size by the factor e counts, in sides of the box. */
const SIZE_WEIGHT = 0.5;
/** A lost face is expected to go on as it went for so long, then to stay. */
const MAX_EXTRAPOLATION_MS = 500;
/** Over which time the velocity is averaged. */
const VELOCITY_MS = 150;

/**
 * Which track each face continues, closest pairs first.
 *
 * Faces are compared with where their tracks would be by now, by their five landmarks where both
 * have them, else by their boxes: two that cross keep apart because each goes on as it went.
 *
 * @returns For each face the index of its track, or undefined for a face not known.
 */
export function assign(
  tracks: readonly Sighting[],
  faces: readonly Sighting["seen"][],
  timestampMs: number,
): (number | undefined)[] {
  const pairs = tracks.flatMap((track, index) =>
    faces.map((face, at) => ({
      index,
      at,
      cost: distance(track, face, timestampMs),
    }))
  );
  const taken = new Set<number>();
  const assigned: (number | undefined)[] = faces.map(() => undefined);
  for (const { index, at, cost } of pairs.sort((a, b) => a.cost - b.cost)) {
    if (cost > GATE) break;
    if (taken.has(index) || assigned[at] !== undefined) continue;
    taken.add(index);
    assigned[at] = index;
  }
  return assigned;
}

/** The velocity of a track that is continued by a face. */
export function velocityAt(
  { seen, seenMs, velocity }: Track,
  face: Face,
  timestampMs: number,
): Point {
  const elapsed = timestampMs - seenMs;
  if (elapsed <= 0) return velocity;
  const share = 1 - Math.exp(-elapsed / VELOCITY_MS);
  const from = centre(seen), to = centre(face);
  return {
    x: velocity.x + share * ((to.x - from.x) / elapsed - velocity.x),
    y: velocity.y + share * ((to.y - from.y) / elapsed - velocity.y),
  };
}

/** Mean distance of a face's points from where the track expects them, in sides of its box. */
function distance(
  { seen, seenMs, velocity }: Sighting,
  face: Sighting["seen"],
  timestampMs: number,
): number {
  const elapsed = Math.min(
    MAX_EXTRAPOLATION_MS,
    Math.max(0, timestampMs - seenMs),
  );
  const shift = { x: velocity.x * elapsed, y: velocity.y * elapsed };
  const [before, now] = seen.landmarks && face.landmarks
    ? [pointsOf(seen.landmarks), pointsOf(face.landmarks)]
    : [corners(seen.boundingBox), corners(face.boundingBox)];
  const off = before.map((point, index) =>
    Math.hypot(
      point.x + shift.x - now[index]!.x,
      point.y + shift.y - now[index]!.y,
    )
  );
  const mean = off.reduce((sum, value) => sum + value, 0) / off.length;
  const [a, b] = [side(seen.boundingBox), side(face.boundingBox)];
  return mean / Math.sqrt(a * b) + SIZE_WEIGHT * Math.abs(Math.log(a / b));
}

function pointsOf(landmarks: Landmarks): Point[] {
  const { rightEye, leftEye, noseTip, rightMouthCorner, leftMouthCorner } =
    landmarks;
  return [rightEye, leftEye, noseTip, rightMouthCorner, leftMouthCorner];
}

function corners({ x, y, width, height }: BoundingBox): Point[] {
  return [{ x, y }, { x: x + width, y: y + height }];
}

function centre({ boundingBox: { x, y, width, height } }: Face): Point {
  return { x: x + width / 2, y: y + height / 2 };
}

/** Side of the square as large as a box. */
function side({ width, height }: BoundingBox): number {
  return Math.sqrt(Math.max(width * height, 1e-6));
}
