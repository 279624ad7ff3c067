import type { Face } from "../types.ts";
import { blend } from "./blend.ts";
import { assign, type Track, velocityAt } from "./track.ts";

const MAX_LOST_MS = 1500;

/** What is remembered from frame to frame. Plain data: it may be cloned, posted and stored. */
export interface SmoothState {
  /** Faces in view, and faces lost a short while ago. */
  tracks: readonly Track[];
  /** The id the next new face gets. */
  nextId: number;
}

/** How one frame's faces are joined to the frames before. */
export interface SmoothOptions {
  /** When the frame was taken, in milliseconds of any clock that does not go back. */
  timestampMs: number;
  /** What the frame before returned; absent for the first frame. */
  state?: SmoothState;
  /** Time constant of the scores' exponential mean, in milliseconds; 0 takes every frame as it is. @default {300} */
  timeConstantMs?: number;
  /** How far another label's score must lead before it replaces the one shown, 0 to 1. @default {0.1} */
  switchMargin?: number;
  /** How long a face may be lost and still get its id back, in milliseconds. @default {1500} */
  maxLostMs?: number;
  /** Under this smoothed score the decision is `uncertain`, 0 to 1; absent keeps the frame's own. */
  minConfidence?: number;
}

/** A face of a stream. */
export type TrackedFace = Face & {
  /** The same for one face as long as it is in view; 1 is the first. */
  trackId: number;
};

/** One frame's faces, smoothed, and what to pass with the next. */
export interface Smoothed {
  /** In the order given. */
  faces: TrackedFace[];
  /** For the next frame. */
  state: SmoothState;
}

/**
 * Joins the faces of one frame to those of the frames before: an id that stays with each face,
 * and scores that do not flicker.
 *
 * Scores are exponential means over time; a label gives way only to one that leads it by
 * `switchMargin`, so that it may for a moment not be the first of `scores`. `labelSet`, quality and
 * heatmaps stay the frame's own. Faces without landmarks are followed by their boxes.
 *
 * Pure: the same arguments give the same answer, and nothing given is changed.
 */
export function smooth(
  faces: readonly Face[],
  options: SmoothOptions,
): Smoothed {
  const { timestampMs, timeConstantMs = 300, switchMargin = 0.1 } = options;
  const { maxLostMs = MAX_LOST_MS, minConfidence } = options;
  const before = options.state ?? { tracks: [], nextId: 1 };
  const known = stillKnown(before.tracks, timestampMs, maxLostMs);
  let { nextId } = before;
  const assigned = assign(known, faces, timestampMs);
  const current = faces.map((seen, at): Track & { shown: TrackedFace } => {
    const track = known[assigned[at] ?? -1];
    const id = track?.id ?? nextId++;
    const velocity = track
      ? velocityAt(track, seen, timestampMs)
      : { x: 0, y: 0 };
    const share = track
      ? shareOfNew(timestampMs - track.seenMs, timeConstantMs)
      : 1;
    const shown = blend(track?.shown, seen, { share, switchMargin });
    if (shown.expression && minConfidence !== undefined) {
      shown.expression.decision = shown.expression.score < minConfidence
        ? "uncertain"
        : "certain";
    }
    return {
      id,
      seen,
      seenMs: timestampMs,
      velocity,
      shown: { ...shown, trackId: id },
    };
  });
  const lost = known.filter((_, index) => !assigned.includes(index));
  return {
    faces: current.map(({ shown }) => shown),
    state: { tracks: [...current, ...lost], nextId },
  };
}

/** Tracks that a face may still continue. */
export function stillKnown(
  tracks: readonly Track[],
  timestampMs: number,
  maxLostMs = MAX_LOST_MS,
): Track[] {
  return tracks.filter(({ seenMs }) => timestampMs - seenMs <= maxLostMs);
}

/** What share of an exponential mean the newest value has. */
function shareOfNew(elapsedMs: number, timeConstantMs: number): number {
  return timeConstantMs > 0
    ? 1 - Math.exp(-Math.max(0, elapsedMs) / timeConstantMs)
    : 1;
}
