import type { ActionUnit, Expression, Inconsistency } from "../types.ts";
import type { OutputSpec } from "./manifest.ts";

/** What the units of the Facial Action Coding System are called there. */
export const UNIT_NAMES: Readonly<Record<string, string>> = {
  AU01: "inner brow raiser",
  AU02: "outer brow raiser",
  AU04: "brow lowerer",
  AU05: "upper lid raiser",
  AU06: "cheek raiser",
  AU07: "lid tightener",
  AU09: "nose wrinkler",
  AU10: "upper lip raiser",
  AU11: "nasolabial deepener",
  AU12: "lip corner puller",
  AU13: "sharp lip puller",
  AU14: "dimpler",
  AU15: "lip corner depressor",
  AU16: "lower lip depressor",
  AU17: "chin raiser",
  AU18: "lip pucker",
  AU20: "lip stretcher",
  AU22: "lip funneler",
  AU23: "lip tightener",
  AU24: "lip pressor",
  AU25: "lips part",
  AU26: "jaw drop",
  AU27: "mouth stretch",
  AU28: "lip suck",
};

/** A face's logits as units, in the model's order; each has a threshold of its own. */
export function toActionUnits(
  logits: ArrayLike<number>,
  { labels = [], thresholds = [] }: OutputSpec,
): ActionUnit[] {
  return labels.map((au, index) => {
    const score = 1 / (1 + Math.exp(-logits[index]!));
    return {
      au,
      name: UNIT_NAMES[au] ?? au,
      score,
      active: score >= (thresholds[index] ?? 0.5),
    };
  });
}

/** Units that go with an apparent expression and were not found; empty when the two agree. */
export function inconsistencies(
  expression: Expression,
  units: readonly ActionUnit[],
  { signatures = {} }: OutputSpec,
): Inconsistency[] {
  const active = new Set(
    units.filter((unit) => unit.active).map((unit) => unit.au),
  );
  const missing = (signatures[expression.label] ?? []).filter((au) =>
    !active.has(au)
  );
  return missing.length ? [{ expression: expression.label, missing }] : [];
}
