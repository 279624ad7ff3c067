import assert from "node:assert/strict";
import type { RawImage } from "../../src/pipeline/image.ts";
import { orient } from "../../src/pipeline/orient.ts";

/** a b c / d e f */
const STORED: RawImage = {
  data: Uint8Array.from("abcdef", (letter) => letter.charCodeAt(0)),
  width: 3,
  height: 2,
  channels: 1,
};

const UPRIGHT: Record<number, string[]> = {
  1: ["abc", "def"],
  2: ["cba", "fed"],
  3: ["fed", "cba"],
  4: ["def", "abc"],
  5: ["ad", "be", "cf"],
  6: ["da", "eb", "fc"],
  7: ["fc", "eb", "da"],
  8: ["cf", "be", "ad"],
};

function rows({ data, width, height }: RawImage): string[] {
  const text = String.fromCharCode(...data);
  return Array.from(
    { length: height },
    (_, y) => text.slice(y * width, (y + 1) * width),
  );
}

for (const [orientation, expected] of Object.entries(UPRIGHT)) {
  Deno.test(`orient() turns orientation ${orientation} upright`, () => {
    assert.deepEqual(rows(orient(STORED, Number(orientation))), expected);
  });
}

Deno.test("orient() returns the very image for orientation 1", () => {
  assert.equal(orient(STORED, 1), STORED);
});

Deno.test("orient() keeps the samples of a pixel together", () => {
  const data = Uint8Array.of(1, 2, 3, 4, 5, 6);
  for (const orientation of [2, 3, 7, 8]) {
    const turned = orient(
      { data, width: 2, height: 1, channels: 3 },
      orientation,
    );
    assert.deepEqual(
      [...turned.data],
      [4, 5, 6, 1, 2, 3],
      `orientation ${orientation}`,
    );
  }
  const alpha = orient(
    {
      data: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
      width: 1,
      height: 2,
      channels: 4,
    },
    4,
  );
  assert.deepEqual([...alpha.data], [5, 6, 7, 8, 1, 2, 3, 4]);
});

Deno.test("orient() leaves the stored image untouched", () => {
  const before = [...STORED.data];
  for (let orientation = 2; orientation <= 8; orientation++) {
    orient(STORED, orientation);
  }
  assert.deepEqual([...STORED.data], before);
});

Deno.test("orient() turns an image of one pixel's height", () => {
  const line: RawImage = {
    data: Uint8Array.of(1, 2, 3),
    width: 3,
    height: 1,
    channels: 1,
  };
  assert.deepEqual(orient(line, 6), {
    data: line.data,
    width: 1,
    height: 3,
    channels: 1,
  });
  assert.deepEqual([...orient(line, 8).data], [3, 2, 1]);
});
