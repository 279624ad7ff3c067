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
