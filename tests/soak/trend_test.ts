import assert from "node:assert/strict";
import { trend } from "./trend.ts";

Deno.test("trend() finds a line, and a line under noise", () => {
  assert.deepEqual(trend([[0, 3], [1, 5], [2, 7]]), { slope: 2, start: 3 });
  const noisy = Array.from(
    { length: 100 },
    (_, x) => [x, 10 - 0.5 * x + (x % 2 ? 1 : -1)] as const,
  );
  const { slope, start } = trend(noisy);
  assert.ok(Math.abs(slope + 0.5) < 0.01);
  assert.ok(Math.abs(start - 10) < 0.5);
});

Deno.test("trend() refuses what has none", () => {
  assert.throws(() => trend([]), RangeError);
  assert.throws(() => trend([[1, 2], [1, 3]]), RangeError);
});
