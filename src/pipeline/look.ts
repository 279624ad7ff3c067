import { assign, type Sighting } from "./track.ts";

/** One aligned face as the action-unit model sees it: gray samples, 0 to 255. */
export type Look = Uint8Array;

/** A face of the frames before, for the next to be compared with. Plain data: it may be posted. */
export interface KnownFace extends Sighting {
  /** How it looked last. */
  last?: Look;
  /** How it looks when calm, once that is known. */
  reference?: Look;
}

/** Every face that may still be in view. */
export interface KnownFaces {
  /** In no order that matters. */
  faces: readonly KnownFace[];
  /** When the next frame was taken, on the clock of their `seenMs`. */
  timestampMs: number;
}

/**
 * Least correlation of two looks a moment apart, whatever happens on the face. On CK+ a calm face
 * and the same face at its peak correlate by 0.69 or more in 19 of 20 pairs (models/training/measure_looks.py).
 */
const MOMENT_APART = 0.7;
/** Least correlation of two calm looks: one person's do in 99 of 100 pairs, strangers' in 1 of 10. */
const BOTH_CALM = 0.85;
/** Share of the side, at each edge, that does not count: it shows hair and background. */
const EDGE = 1 / 8;

/** Whether a look may follow another of the same face, or comes after a cut. */
export function follows(last: Look, look: Look): boolean {
  return correlation(last, look) >= MOMENT_APART;
}

/** Whether two calm looks may be one person's in much the same view. */
export function sameCalm(one: Look, other: Look): boolean {
  return correlation(one, other) >= BOTH_CALM;
}

/** What each of a frame's faces is to be compared with; undefined for nothing. */
export function referencesFor(
  faces: readonly Sighting["seen"][],
  looks: readonly Look[],
  known: KnownFaces,
): (Look | undefined)[] {
  const assigned = assign(known.faces, faces, known.timestampMs);
  return looks.map((look, index) => {
    const { last, reference } = known.faces[assigned[index] ?? -1] ?? {};
    return last && reference && follows(last, look) ? reference : undefined;
  });
}

/** Pearson's correlation of the samples inside the edge, -1 to 1; 0 where a look is all one gray. */
function correlation(one: Look, other: Look): number {
  const side = Math.sqrt(one.length), edge = Math.floor(side * EDGE);
  let n = 0, a = 0, b = 0, aa = 0, bb = 0, ab = 0;
  for (let y = edge; y < side - edge; y++) {
    for (let x = edge; x < side - edge; x++) {
      const p = one[y * side + x]!, q = other[y * side + x]!;
      n++;
      a += p;
      b += q;
      aa += p * p;
      bb += q * q;
      ab += p * q;
    }
  }
  const spread = (aa - a * a / n) * (bb - b * b / n);
  return spread > 0 ? (ab - a * b / n) / Math.sqrt(spread) : 0;
}
