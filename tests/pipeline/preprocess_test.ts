import assert from "node:assert/strict";
import {
  align,
  type InputSpec,
  letterbox,
  squareCrop,
  type Template,
  toTensor,
  unproject,
} from "../../src/pipeline/preprocess.ts";
import type { Landmarks } from "../../src/types.ts";
import { formulaPicture, golden, models } from "./support.ts";

interface PreprocessGolden {
  size: number;
  mean: number[];
  std: number[];
  template: Template;
  tolerance: number;
  cases: {
    name: string;
    width: number;
    height: number;
    pixelSum: number;
    landmarks: Record<keyof Landmarks, [number, number]>;
    matrix: [[number, number, number], [number, number, number]];
    tensor: string;
  }[];
}

const file = await golden<PreprocessGolden>(
  "tests/testdata/preprocess_golden.json",
);
const spec: InputSpec = {
  name: "image",
  shape: ["batch", 1, file.size, file.size],
  color: "gray",
  mean: file.mean,
  std: file.std,
  template: file.template,
};

function named(points: Record<keyof Landmarks, [number, number]>): Landmarks {
  return Object.fromEntries(
    Object.entries(points).map(([name, [x, y]]) => [name, { x, y }]),
  ) as unknown as Landmarks;
}

for (const item of file.cases) {
  const image = formulaPicture(item.width, item.height);
  const map = align(named(item.landmarks), file.template, file.size);

  Deno.test(`align() finds Python's matrix: ${item.name}`, () => {
    assert.equal(
      Array.from(image.data).reduce((sum, value) => sum + value, 0),
      item.pixelSum,
    );
    const [[a, minusB, tx], [b, , ty]] = item.matrix;
    assert.ok(Math.abs(minusB + b) < 1e-12);
    for (
      const [mine, theirs] of [[map.a, a], [map.b, b], [map.tx, tx], [
        map.ty,
        ty,
      ]]
    ) {
      assert.ok(Math.abs(mine! - theirs!) < 1e-9, `${mine} is not ${theirs}`);
    }
  });

  Deno.test(`toTensor() writes Python's tensor: ${item.name}`, () => {
    const bytes = Uint8Array.from(
      atob(item.tensor),
      (letter) => letter.charCodeAt(0),
    );
    const expected = new Float32Array(bytes.buffer);
    const batch = new Float32Array(2 * expected.length);
    toTensor(image, map, spec, batch, 1);
    assert.ok(batch.subarray(0, expected.length).every((value) => value === 0));
    expected.forEach((value, i) => {
      const mine = batch[expected.length + i]!;
      assert.ok(
        Math.abs(mine - value) <= file.tolerance,
        `${i}: ${mine} is not ${value}`,
      );
    });
  });
}

Deno.test("align() undoes a known rotation, scale and shift exactly", () => {
  const map = {
    a: 1.5 * Math.cos(0.4),
    b: 1.5 * Math.sin(0.4),
    tx: 31,
    ty: -7,
  };
  const points = Object.fromEntries(
    Object.entries(file.template).map((
      [name, [x, y]],
    ) => [name, unproject(map, x, y, 64)]),
  ) as unknown as Landmarks;
  const found = align(points, file.template, 64);
  for (const key of ["a", "b", "tx", "ty"] as const) {
    assert.ok(Math.abs(found[key] - map[key]) < 1e-9);
  }
});

Deno.test("squareCrop() maps the crop's middle and corners as drawn", () => {
  const map = squareCrop({ x: 50, y: 40 }, 128, 0, 64);
  assert.deepEqual(unproject(map, 0.5, 0.5, 64), { x: 50, y: 40 });
  assert.deepEqual(unproject(map, 0, 0, 64), { x: -14, y: -24 });
  assert.deepEqual(unproject(map, 1, 1, 64), { x: 114, y: 104 });
});

Deno.test("squareCrop() turns clockwise with the face", () => {
  const map = squareCrop({ x: 0, y: 0 }, 2, 90, 64);
  const right = unproject(map, 1, 0.5, 64);
  assert.ok(Math.abs(right.x) < 1e-9 && Math.abs(right.y - 1) < 1e-9);
});

Deno.test("letterbox() pads to multiples of 32 with black and reports its scale", () => {
  const image = formulaPicture(200, 100);
  const input = models.forTask("faceDetection").inputs[0]!;
  const box = letterbox(image, 320, input);
  assert.deepEqual([box.width, box.height, box.scale], [320, 160, 0.625]);
  const portrait = letterbox(formulaPicture(100, 210), 320, input);
  assert.deepEqual([portrait.width, portrait.height], [160, 320]);
  const last = portrait.data.subarray(159, 160);
  assert.equal(last[0], 0);
});

Deno.test("letterbox() feeds YuNet raw BGR of 0 to 255", () => {
  const data = new Uint8Array(32 * 32 * 3);
  for (let i = 0; i < data.length; i += 3) data.set([200, 100, 50], i);
  const box = letterbox(
    { data, width: 32, height: 32, channels: 3 },
    32,
    models.forTask("faceDetection").inputs[0]!,
  );
  const middle = 16 * 32 + 16;
  for (const [plane, value] of [[0, 50], [1, 100], [2, 200]]) {
    assert.ok(Math.abs(box.data[plane! * 1024 + middle]! - value!) < 1e-3);
  }
});

Deno.test("letterbox() of a region equals the letterbox of the cut-out", () => {
  const image = formulaPicture(96, 64);
  const input = models.forTask("faceDetection").inputs[0]!;
  const region = letterbox(image, 32, input, {
    x: 32,
    y: 0,
    width: 64,
    height: 64,
  });
  const cut = new Uint8Array(64 * 64 * 3);
  for (let y = 0; y < 64; y++) {
    cut.set(
      image.data.subarray((y * 96 + 32) * 3, (y * 96 + 96) * 3),
      y * 64 * 3,
    );
  }
  const alone = letterbox(
    { data: cut, width: 64, height: 64, channels: 3 },
    32,
    input,
  );
  assert.deepEqual(region.data, alone.data);
});

Deno.test("letterbox() of an extreme aspect ratio stays at least 32 pixels wide", () => {
  const input = models.forTask("faceDetection").inputs[0]!;
  const box = letterbox(formulaPicture(1200, 1), 320, input);
  assert.deepEqual([box.width, box.height], [320, 32]);
});
