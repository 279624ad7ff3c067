import type { Face } from "../types.ts";
import { follows, type Look, sameCalm } from "./look.ts";

/** What a stream remembers of how one face looks. */
export interface Calm {
  /** The newest look. */
  last: Look;
  /** The calmest of late. */
  best?: { look: Look; score: number; takenMs: number };
  /** Calm looks so far. */
  count: number;
}

/** Least calibrated score for neutral, the frame's own and the smoothed one. */
const NEUTRAL = 0.8;
/** Calm looks before the best of them serves: one may be a slip. */
const ENOUGH = 3;
/** After so long a look's score counts half, so that one in today's light may follow. */
const HALF_LIFE_MS = 30_000;

/**
 * What is remembered after one more frame; starts anew where the look is another person's.
 *
 * A look is calm when the frame's own score and the smoothed one say neutral, and quality finds no
 * issue: sharp, frontal, large and well lit.
 *
 * @param seen The face as this frame alone shows it, with expression and quality.
 * @param shown The same face, smoothed.
 */
export function remember(
  before: Calm | undefined,
  { look, seen, shown }: { look: Look; seen: Face; shown: Face },
  timestampMs: number,
): Calm {
  const known = before && follows(before.last, look) ? before : undefined;
  const score = neutralScore(seen);
  const calm = Math.min(score, neutralScore(shown)) >= NEUTRAL &&
    seen.quality?.issues.length === 0;
  if (!calm) return { count: 0, ...known, last: look };
  const now = { look, score, takenMs: timestampMs };
  const kept = known?.best && sameCalm(known.best.look, look)
    ? known
    : undefined;
  return {
    last: look,
    best: kept?.best && faded(kept.best, timestampMs) >= score
      ? kept.best
      : now,
    count: (kept?.count ?? 0) + 1,
  };
}

/** The look that serves as reference, once there is one. */
export function referenceOf(calm: Calm | undefined): Look | undefined {
  return calm && calm.count >= ENOUGH ? calm.best?.look : undefined;
}

function faded(
  { score, takenMs }: NonNullable<Calm["best"]>,
  timestampMs: number,
): number {
  return score * 0.5 ** ((timestampMs - takenMs) / HALF_LIFE_MS);
}

function neutralScore({ expression }: Face): number {
  const { scores = [] } = expression ?? {};
  return scores.find(({ label }) => label === "neutral")?.score ?? 0;
}
