import type {
  BoundingBox,
  Face,
  GenderLabel,
  Landmarks,
  Score,
} from "../types.ts";

/** How strongly the newest frame counts, and how hard a label is held. */
export interface Mix {
  /** Share of the newest value in each mean, 0 to 1. */
  share: number;
  /** How far another label must lead to replace the one shown, 0 to 1. */
  switchMargin: number;
}

/** Boxes and points follow faster than scores: a box that lags is worse than one that trembles. */
const PLACE_SPEED = 5;

/**
 * A face between how it was shown before and how it is now: scores mixed, the label held.
 *
 * Without `before` it is the face itself. Nothing given is changed.
 */
export function blend(
  before: Face | undefined,
  face: Face,
  { share, switchMargin }: Mix,
): Face {
  const shown = { ...face };
  if (!before) {
    if (face.expression) shown.expression = { ...face.expression };
    return shown;
  }
  const place = 1 - (1 - share) ** PLACE_SPEED;
  const mix = (from: number, to: number) => from + place * (to - from);
  shown.boundingBox = mixBoxes(before.boundingBox, face.boundingBox, mix);
  shown.normalizedBoundingBox = mixBoxes(
    before.normalizedBoundingBox,
    face.normalizedBoundingBox,
    mix,
  );
  if (before.landmarks && face.landmarks) {
    shown.landmarks = mixLandmarks(before.landmarks, face.landmarks, mix);
  }
  if (face.expression) {
    shown.expression = settle(before.expression, face.expression, {
      share,
      switchMargin,
    });
  }
  if (face.gender) {
    const { label, score } = settle(
      before.gender && bothGenders(before.gender),
      bothGenders(face.gender),
      { share, switchMargin },
    );
    shown.gender = { label, score };
  }
  return shown;
}

/** The exponential mean of all scores, with the label held until another leads by the margin. */
function settle<Label extends string, Reading extends Ranking<Label>>(
  before: Ranking<Label> | undefined,
  now: Reading,
  { share, switchMargin }: Mix,
): Reading {
  if (!before) return { ...now };
  const old = new Map(before.scores.map(({ label, score }) => [label, score]));
  const scores = now.scores.map(({ label, score }) => {
    const from = old.get(label) ?? score;
    return { label, score: from + share * (score - from) };
  }).sort((a, b) => b.score - a.score);
  const best = scores[0]!;
  const held = scores.find(({ label }) => label === before.label) ?? best;
  const chosen = best.score - held.score > switchMargin ? best : held;
  return { ...now, label: chosen.label, score: chosen.score, scores };
}

interface Ranking<Label extends string> extends Score<Label> {
  scores: Score<Label>[];
}

function bothGenders({ label, score }: Score<GenderLabel>) {
  const other: GenderLabel = label === "woman" ? "man" : "woman";
  return {
    label,
    score,
    scores: [{ label, score }, { label: other, score: 1 - score }],
  };
}

function mixBoxes(
  from: BoundingBox,
  to: BoundingBox,
  mix: (from: number, to: number) => number,
): BoundingBox {
  return {
    x: mix(from.x, to.x),
    y: mix(from.y, to.y),
    width: mix(from.width, to.width),
    height: mix(from.height, to.height),
  };
}

function mixLandmarks(
  from: Landmarks,
  to: Landmarks,
  mix: (from: number, to: number) => number,
): Landmarks {
  const point = (name: keyof Landmarks) => ({
    x: mix(from[name].x, to[name].x),
    y: mix(from[name].y, to[name].y),
  });
  return {
    rightEye: point("rightEye"),
    leftEye: point("leftEye"),
    noseTip: point("noseTip"),
    rightMouthCorner: point("rightMouthCorner"),
    leftMouthCorner: point("leftMouthCorner"),
  };
}
