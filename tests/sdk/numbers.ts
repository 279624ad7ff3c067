import assert from "node:assert/strict";

/** Fails where two answers differ in shape, in a word, or in a number by more than a thousandth. */
export function assertSameNumbers(
  mine: unknown,
  theirs: unknown,
  path = "",
): void {
  if (typeof theirs === "number") {
    const difference = Math.abs(mine as number - theirs);
    assert.ok(difference <= 1e-3, `${path}: ${mine} is not ${theirs}`);
  } else if (theirs !== null && typeof theirs === "object") {
    const keys = Object.keys(theirs).sort();
    assert.deepEqual(Object.keys(mine as object).sort(), keys, path);
    for (const key of keys) {
      const [a, b] = [mine, theirs] as Record<string, unknown>[];
      assertSameNumbers(a![key], b![key], `${path}.${key}`);
    }
  } else {
    assert.equal(mine, theirs, path);
  }
}

/** The pictures on which the runtimes are compared: JPEG, PNG and WebP, with faces and without. */
export const PICTURES = [
  "astronaut.jpg",
  "coffee.jpg",
  "orientation_6.jpg",
  "interlaced.png",
  "lossy.webp",
];

/** What is asked of each: everything but the rendered heatmap is compared. */
export const WANTED = {
  attributes: ["expression", "landmarks", "quality"],
  coverage: 0.9,
} as const;
