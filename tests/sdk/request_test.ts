import assert from "node:assert/strict";
import { retryDelay } from "../../src/sdk/request.ts";

const TABLE: [attempt: number, random: number, ms: number][] = [
  [0, 0, 500],
  [0, 1, 375],
  [1, 0, 1000],
  [2, 0.5, 1750],
  [4, 0, 8000],
  [30, 0, 8000],
];

for (const [attempt, random, ms] of TABLE) {
  Deno.test(`retryDelay() is ${ms} ms after attempt ${attempt} at random ${random}`, () => {
    assert.equal(retryDelay(attempt, undefined, () => random), ms);
  });
}

Deno.test("retryDelay() takes the server's word as it is", () => {
  assert.equal(retryDelay(3, 1234, () => 1), 1234);
  assert.equal(retryDelay(3, 0, () => 1), 0);
});
