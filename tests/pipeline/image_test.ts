import assert from "node:assert/strict";
import { type RawImage, shrink, warp } from "../../src/pipeline/image.ts";
import { formulaPicture } from "./support.ts";

const identity = { a: 1, b: 0, tx: 0, ty: 0 };

function gray(
  width: number,
  height: number,
  value: (x: number, y: number) => number,
): RawImage {
  const data = new Uint8Array(width * height);
  for (let i = 0; i < data.length; i++) {
    data[i] = value(i % width, Math.floor(i / width));
  }
  return { data, width, height, channels: 1 };
}

Deno.test("warp() by the identity returns the samples", () => {
  const image = gray(5, 4, (x, y) => 10 * x + y);
  assert.deepEqual(
    Array.from(warp(image, identity, 5, 4, "gray")),
    Array.from(image.data),
  );
});

Deno.test("warp() orders planes as asked", () => {
  const image: RawImage = {
    data: new Uint8Array([1, 2, 3]),
    width: 1,
    height: 1,
    channels: 3,
  };
  assert.deepEqual(Array.from(warp(image, identity, 1, 1, "RGB")), [1, 2, 3]);
  assert.deepEqual(Array.from(warp(image, identity, 1, 1, "BGR")), [3, 2, 1]);
});

Deno.test("warp() weighs gray by Rec. 601 luma", () => {
  const image: RawImage = {
    data: new Uint8Array([200, 100, 50]),
    width: 1,
    height: 1,
    channels: 3,
  };
  const [value] = warp(image, identity, 1, 1, "gray");
  assert.ok(Math.abs(value! - (0.299 * 200 + 0.587 * 100 + 0.114 * 50)) < 1e-4);
});

Deno.test("warp() repeats a gray picture's samples in all planes", () => {
  const image = gray(1, 1, () => 77);
  assert.deepEqual(Array.from(warp(image, identity, 1, 1, "BGR")), [
    77,
    77,
    77,
  ]);
});

Deno.test("warp() ignores alpha", () => {
  const data = new Uint8Array([10, 20, 30, 0]);
  const image: RawImage = { data, width: 1, height: 1, channels: 4 };
  assert.deepEqual(Array.from(warp(image, identity, 1, 1, "RGB")), [
    10,
    20,
    30,
  ]);
});

Deno.test("warp() samples bilinearly half-way between pixels", () => {
  const image = gray(2, 2, (x, y) => 100 * x + 50 * y);
  const [value] = warp(image, { a: 1, b: 0, tx: 0.5, ty: 0.5 }, 1, 1, "gray");
  assert.equal(value, 75);
});

Deno.test("warp() counts what lies outside as black", () => {
  const image = gray(1, 1, () => 200);
  const row = warp(image, { a: 1, b: 0, tx: -2, ty: 0 }, 5, 1, "gray");
  assert.deepEqual(Array.from(row), [0, 0, 200, 0, 0]);
  const [edge] = warp(image, { a: 1, b: 0, tx: 0.25, ty: 0 }, 1, 1, "gray");
  assert.equal(edge, 150);
});

Deno.test("warp() wholly outside the picture is black", () => {
  const image = gray(4, 4, () => 255);
  for (const tx of [-100, 100]) {
    assert.ok(
      warp(image, { a: 1, b: 0, tx, ty: 0 }, 3, 3, "gray").every((value) =>
        value === 0
      ),
    );
    assert.ok(
      warp(image, { a: 0.8, b: 0.6, tx, ty: 50 }, 3, 3, "RGB").every((v) =>
        v === 0
      ),
    );
  }
});

Deno.test("warp() averages whole blocks when it shrinks", () => {
  const image = gray(4, 4, (x, y) => x + 4 * y);
  const out = warp(image, { a: 2, b: 0, tx: 0.5, ty: 0.5 }, 2, 2, "gray");
  assert.deepEqual(Array.from(out), [2.5, 4.5, 10.5, 12.5]);
});

Deno.test("warp() averages partial edge blocks over what is there", () => {
  const image = gray(3, 1, (x) => [10, 20, 90][x]!);
  const out = warp(image, { a: 2, b: 0, tx: 0.5, ty: 0.5 }, 2, 1, "gray");
  assert.equal(out[0], 15);
  assert.equal(out[1], 90);
});

Deno.test("warp() by a quarter turn moves pixels exactly", () => {
  const image = gray(3, 2, (x, y) => 10 * x + y);
  const out = warp(image, { a: 0, b: 1, tx: 2, ty: 0 }, 2, 3, "gray");
  assert.deepEqual(Array.from(out), [20, 21, 10, 11, 0, 1].map((v) => v));
});

Deno.test("warp() gives the same samples by its straight and its turned path", () => {
  const image = formulaPicture(40, 30);
  const straight = warp(
    image,
    { a: 0.7, b: 0, tx: 3.3, ty: 2.2 },
    32,
    32,
    "RGB",
  );
  const turned = warp(
    image,
    { a: 0.7, b: 1e-12, tx: 3.3, ty: 2.2 },
    32,
    32,
    "RGB",
  );
  straight.forEach((value, i) =>
    assert.ok(Math.abs(value - turned[i]!) < 1e-4)
  );
});

Deno.test("warp() of a 1-pixel picture and of a 12,000-pixel row works", () => {
  assert.equal(
    warp(gray(1, 1, () => 9), { a: 0.1, b: 0, tx: 0, ty: 0 }, 1, 1, "gray")[0],
    9,
  );
  const row = gray(12_000, 1, (x) => x % 256);
  const out = warp(row, { a: 100, b: 0, tx: 49.5, ty: 0 }, 120, 1, "gray");
  assert.equal(out.length, 120);
  assert.ok(out.every((value) => value >= 0 && value <= 255));
});

Deno.test("shrink() averages square blocks, those at the edges over what is there", () => {
  const image = gray(5, 3, (x, y) => 10 * x + y);
  const { data, width, height } = shrink(image, 3);
  assert.deepEqual([width, height], [3, 2]);
  assert.deepEqual(Array.from(data), [6, 26, 41, 7, 27, 42]);
});

Deno.test("shrink() keeps channels apart", () => {
  const data = new Uint8Array(2 * 2 * 3).map((_, i) => [9, 100, 255][i % 3]!);
  const small = shrink({ data, width: 2, height: 2, channels: 3 }, 1);
  assert.deepEqual(Array.from(small.data), [9, 100, 255]);
});

Deno.test("shrink() takes the smallest scale that reaches the side, as a JPEG is decoded", () => {
  const image = gray(640, 8, () => 1);
  const width = (longest: number) => shrink(image, longest).width;
  assert.deepEqual([80, 81, 160, 161, 320, 321, 2000].map(width), [
    80,
    160,
    160,
    320,
    320,
    640,
    640,
  ]);
  assert.equal(shrink(image, 640), image);
});
