import assert from "node:assert/strict";
import { drawFaces, faceLabel } from "../../src/pipeline/draw.ts";
import { GLYPH, glyph, textWidth } from "../../src/pipeline/font.ts";
import type { RawImage } from "../../src/pipeline/image.ts";
import type { Face } from "../../src/types.ts";

const PROVENANCE = {
  model: "expression_test",
  version: "1.0.0",
  sha256: "0".repeat(64),
  license: "MIT",
  backend: "wasm",
  input: "photo",
  escalated: false,
  fallback: null,
} as const;

function face(
  x: number,
  y: number,
  side: number,
  more: Partial<Face> = {},
): Face {
  const zero = { x: 0, y: 0, width: 0, height: 0 };
  return {
    boundingBox: { x, y, width: side, height: side },
    normalizedBoundingBox: zero,
    detectionScore: 0.9,
    rollDegrees: 0,
    expression: {
      label: "happiness",
      score: 0.934,
      decision: "certain",
      scores: [],
    },
    provenance: PROVENANCE,
    ...more,
  };
}

function gray(width: number, height: number, value = 100): RawImage {
  return {
    data: new Uint8Array(width * height * 3).fill(value),
    width,
    height,
    channels: 3,
  };
}

function pixel(image: RawImage, x: number, y: number): number[] {
  const at = (y * image.width + x) * 3;
  return [...image.data.subarray(at, at + 3)];
}

/** Columns and rows of all changed pixels. */
function changed(
  before: RawImage,
  after: RawImage,
): { x: number[]; y: number[] } {
  const out = { x: [] as number[], y: [] as number[] };
  for (let y = 0; y < after.height; y++) {
    for (let x = 0; x < after.width; x++) {
      if (pixel(after, x, y).join() === pixel(before, x, y).join()) continue;
      out.x.push(x);
      out.y.push(y);
    }
  }
  return out;
}

Deno.test("drawFaces() without faces returns an equal copy and leaves its input alone", () => {
  const image = gray(20, 10);
  const out = drawFaces(image, []);
  assert.deepEqual(out, image);
  assert.notEqual(out.data, image.data);
  const drawn = drawFaces(image, [face(2, 2, 6)]);
  assert.deepEqual(image, gray(20, 10));
  assert.notDeepEqual(drawn.data, image.data);
});

Deno.test("drawFaces() gives RGB for gray and RGBA pictures", () => {
  const one = {
    data: Uint8Array.of(7, 9),
    width: 2,
    height: 1,
    channels: 1,
  } as const;
  assert.deepEqual([...drawFaces(one, []).data], [7, 7, 7, 9, 9, 9]);
  const four = {
    data: Uint8Array.of(1, 2, 3, 128),
    width: 1,
    height: 1,
    channels: 4,
  } as const;
  const out = drawFaces(four, []);
  assert.deepEqual([...out.data], [1, 2, 3]);
  assert.equal(out.channels, 3);
});

Deno.test("drawFaces() draws the box on its edge and leaves inside and outside untouched", () => {
  const image = gray(400, 300);
  const out = drawFaces(image, [face(100, 100, 120)]);
  const [red, green] = pixel(out, 160, 219);
  assert.ok(
    green! > red! + 40,
    "the lower edge has the colour of a certain face",
  );
  assert.deepEqual(pixel(out, 160, 160), [100, 100, 100]);
  const { x, y } = changed(image, out);
  assert.ok(Math.min(...x) >= 97 && Math.max(...x) <= 223, "columns");
  assert.ok(Math.max(...y) <= 223, "rows");
});

Deno.test("drawFaces() scales line width with the picture", () => {
  const thickness = (side: number): number => {
    const image = gray(side, side);
    const out = drawFaces(image, [face(side / 4, side / 4, side / 2)]);
    const x = side / 2;
    let count = 0;
    for (let y = side / 2; y < side; y++) {
      if (pixel(out, x, y).join() !== "100,100,100") count++;
    }
    return count;
  };
  assert.ok(thickness(300) <= 5);
  assert.ok(thickness(1500) >= 6);
});

Deno.test("drawFaces() marks each of the five points in white", () => {
  const points = {
    rightEye: { x: 120, y: 130 },
    leftEye: { x: 180, y: 130 },
    noseTip: { x: 150, y: 150 },
    rightMouthCorner: { x: 130, y: 180 },
    leftMouthCorner: { x: 170, y: 180 },
  };
  const out = drawFaces(gray(400, 300), [
    face(100, 100, 100, { landmarks: points }),
  ]);
  for (const { x, y } of Object.values(points)) {
    assert.deepEqual(pixel(out, x, y), [255, 255, 255]);
    assert.notDeepEqual(pixel(out, x + 7, y), [255, 255, 255]);
  }
});

const EDGES: [string, Face][] = [
  ["top left corner", face(-30, -30, 60)],
  ["bottom right corner", face(170, 120, 60)],
  ["outside", face(500, 500, 50)],
  ["larger than the picture", face(-100, -100, 500)],
  ["empty box", face(50, 50, 0)],
];
for (const [name, subject] of EDGES) {
  Deno.test(`drawFaces() keeps the whole label inside the picture: ${name}`, () => {
    const image = gray(200, 150, 255);
    const out = drawFaces(image, [subject]);
    const dark = { x: [] as number[], y: [] as number[] };
    for (let y = 0; y < 150; y++) {
      for (let x = 0; x < 200; x++) {
        const [red, green, blue] = pixel(out, x, y);
        if (red! + green! + blue! < 250) (dark.x.push(x), dark.y.push(y));
      }
    }
    const width = textWidth(faceLabel(subject), 1) + 6;
    assert.ok(
      Math.max(...dark.x) - Math.min(...dark.x) + 1 >= width,
      "plate is not cut",
    );
    assert.ok(
      Math.max(...dark.y) - Math.min(...dark.y) + 1 >= GLYPH.height + 6,
      "plate is not cut",
    );
  });
}

Deno.test("drawFaces() survives a picture smaller than the label", () => {
  const out = drawFaces(gray(8, 8), [face(0, 0, 8)]);
  assert.equal(out.data.length, 8 * 8 * 3);
});

Deno.test("drawFaces() blends the heatmap where its values are and only inside the box", () => {
  const explanation = {
    method: "evidence" as const,
    label: "happiness",
    grid: { width: 2, height: 2, min: -1, max: 1, values: [1, 0, 0, 0] },
    image: "",
  };
  const image = gray(400, 300);
  const plain = drawFaces(image, [face(100, 100, 120)]);
  const out = drawFaces(image, [face(100, 100, 120, { explanation })]);
  const [red, , blue] = pixel(out, 115, 115);
  assert.ok(
    red! > 180 && red! > blue! + 50,
    "the hot corner is warm and bright",
  );
  assert.deepEqual(pixel(out, 205, 205), pixel(plain, 205, 205));
  const { x, y } = changed(plain, out);
  assert.ok(
    Math.min(...x) >= 100 && Math.max(...x) < 220 && Math.min(...y) >= 100,
  );
});

Deno.test("faceLabel() says expression and share, marks doubt, and names a bare face", () => {
  assert.equal(faceLabel(face(0, 0, 9)), "happiness 93 %");
  const expression = {
    label: "fear",
    score: 0.3,
    decision: "uncertain",
    scores: [],
  } as const;
  assert.equal(
    faceLabel(face(0, 0, 9, { expression: { ...expression, scores: [] } })),
    "fear 30 % ?",
  );
  const { expression: _, ...bare } = face(0, 0, 9);
  assert.equal(faceLabel(bare), "face 90 %");
});

Deno.test("glyph() has a distinct shape for every character a label can hold", () => {
  const shapes = new Map<string, string>();
  for (const character of "abcdefghijklmnopqrstuvwxyz0123456789%.,:?!-+/_()#") {
    const rows = glyph(character);
    assert.equal(rows.length, GLYPH.height);
    assert.ok(rows.some((row) => row > 0), character);
    assert.equal(
      shapes.get(rows.join()),
      undefined,
      `${character} looks like ${shapes.get(rows.join())}`,
    );
    shapes.set(rows.join(), character);
  }
  assert.ok(glyph(" ").every((row) => row === 0));
  assert.deepEqual(glyph("A"), glyph("a"));
  assert.deepEqual(glyph("é"), glyph("?"));
});

Deno.test("textWidth() counts characters without a trailing gap", () => {
  assert.equal(textWidth("", 3), 0);
  assert.equal(textWidth("a", 1), 5);
  assert.equal(textWidth("ab", 2), 22);
});
