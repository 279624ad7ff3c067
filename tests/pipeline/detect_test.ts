import assert from "node:assert/strict";
import type { Backend } from "../../src/pipeline/backend.ts";
import { detect } from "../../src/pipeline/detect.ts";
import { decode } from "../../src/pipeline/decode.ts";
import { readHeader } from "../../src/pipeline/header.ts";
import { type RawImage, warp } from "../../src/pipeline/image.ts";
import { IMAGE_LIMITS } from "../../src/pipeline/mod.ts";
import { orient } from "../../src/pipeline/orient.ts";
import { fixture, models, withBackend } from "./support.ts";

const spec = models.forTask("faceDetection");

/** A backend that finds nothing and notes the sizes it was asked to look at. */
function blind(looks: string[]): Backend {
  return {
    load: () => Promise.resolve(),
    close: () => Promise.resolve(),
    run(_, feeds) {
      const [, , height, width] = feeds.input!.dims as [
        number,
        number,
        number,
        number,
      ];
      looks.push(`${width}x${height}`);
      return Promise.resolve(Object.fromEntries(
        [8, 16, 32].flatMap((stride) => {
          const cells = width / stride * (height / stride);
          return [["cls", 1], ["obj", 1], ["bbox", 4], ["kps", 10]].map((
            [name, length],
          ) => [
            `${name}_${stride}`,
            {
              data: new Float32Array(cells * Number(length)),
              dims: [1, cells, Number(length)],
            },
          ]);
        }),
      ));
    },
  };
}

function context(image: RawImage, backend: Backend, minScore = 0.6) {
  return {
    backend,
    spec,
    minScore,
    picture: () => Promise.resolve({ image, scale: 1 }),
  };
}

function plain(width: number, height: number): RawImage {
  return {
    data: new Uint8Array(width * height * 3),
    width,
    height,
    channels: 3,
  };
}

async function photo(name: string): Promise<RawImage> {
  const bytes = await fixture(name);
  return await decode(bytes, readHeader(bytes, IMAGE_LIMITS));
}

/** A photo scaled and put at (x, y) of a gray canvas. */
function paste(
  image: RawImage,
  share: number,
  canvas: [number, number],
  at: [number, number],
) {
  const [width, height] = canvas, side = Math.round(image.width * share);
  const unit = image.width / side;
  const small = warp(
    image,
    { a: unit, b: 0, tx: unit / 2 - 0.5, ty: unit / 2 - 0.5 },
    side,
    side,
    "RGB",
  );
  const out = plain(width, height);
  (out.data as Uint8Array).fill(128);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      for (let c = 0; c < 3; c++) {
        out.data[((at[1] + y) * width + at[0] + x) * 3 + c] =
          small[c * side * side + y * side + x]!;
      }
    }
  }
  return out;
}

Deno.test("detect() looks once, then turned, at a small picture without faces", async () => {
  const looks: string[] = [];
  assert.deepEqual(await detect(context(plain(320, 200), blind(looks))), []);
  assert.deepEqual(looks, ["320x224", "320x224", "224x320", "224x320"]);
});

Deno.test("detect() looks at a large picture once finer, and no finer without a hint", async () => {
  const looks: string[] = [];
  await detect(context(plain(1920, 1280), blind(looks)));
  assert.deepEqual(looks, [
    "320x224",
    "640x448",
    "320x224",
    "224x320",
    "224x320",
  ]);
});

Deno.test("detect() looks at tiles where the finer look gives a hint", async () => {
  const looks: string[] = [];
  const nothing = blind(looks);
  const hinting: Backend = {
    ...nothing,
    async run(model, feeds) {
      const outputs = await nothing.run(model, feeds);
      if (looks.length === 2) {
        outputs.cls_8!.data[0] = 0.1;
        outputs.obj_8!.data[0] = 0.1;
      }
      return outputs;
    },
  };
  await detect(context(plain(1920, 1280), hinting));
  const tiles = looks.slice(5);
  assert.ok(tiles.length >= 6);
  assert.ok(
    tiles.every((size) => size.split("x").every((side) => Number(side) <= 640)),
  );
});

Deno.test("detect() pays for one look only where a large face is found", () =>
  withBackend(async (backend) => {
    const looks: string[] = [];
    const counting: Backend = {
      ...backend,
      run(model, feeds, options) {
        looks.push(feeds.input!.dims.join("x"));
        return backend.run(model, feeds, options);
      },
    };
    const image = paste(await photo("astronaut.jpg"), 2.2, [1920, 1280], [
      300,
      50,
    ]);
    const faces = await detect(context(image, counting));
    assert.equal(faces.length, 1);
    assert.equal(looks[0], "1x3x224x320");
    assert.ok(
      looks.slice(1).every((size) => size === "1x3x96x96"),
      looks.join(" "),
    );
  }));

Deno.test("detect() finds the astronaut's face where it is", () =>
  withBackend(async (backend) => {
    const [face, ...others] = await detect(
      context(await photo("astronaut.jpg"), backend),
    );
    assert.equal(others.length, 0);
    const { x, y, width, height } = face!.boundingBox;
    assert.ok(
      Math.abs(x + width / 2 - 225) < 12 && Math.abs(y + height / 2 - 118) < 15,
    );
    assert.ok(face!.landmarks.rightEye.x < face!.landmarks.leftEye.x);
  }));

Deno.test("detect() finds nothing on a cup of coffee", () =>
  withBackend(async (backend) => {
    assert.deepEqual(
      await detect(context(await photo("coffee.jpg"), backend)),
      [],
    );
  }));

Deno.test("detect() finds a face of 34 pixels in a photo of 1920", () =>
  withBackend(async (backend) => {
    const image = paste(await photo("astronaut.jpg"), 0.34, [1920, 1280], [
      1500,
      900,
    ]);
    const faces = await detect(context(image, backend));
    assert.equal(faces.length, 1);
    const { boundingBox: box } = faces[0]!;
    assert.ok(
      box.width < 42 &&
        Math.abs(box.x + box.width / 2 - (1500 + 225 * 0.34)) < 8,
    );
  }));

for (
  const [orientation, words] of [[3, "upside down"], [6, "on its right"], [
    8,
    "on its left",
  ]]
) {
  Deno.test(`detect() finds a face lying ${words}, points in place`, () =>
    withBackend(async (backend) => {
      const image = orient(await photo("astronaut.jpg"), Number(orientation));
      const [face, ...others] = await detect(context(image, backend));
      assert.equal(others.length, 0);
      const upright = { x: 225, y: 118 };
      const { width, height } = image;
      const expected = orientation === 3
        ? { x: width - upright.x, y: height - upright.y }
        : orientation === 6
        ? { x: width - upright.y, y: upright.x }
        : { x: upright.y, y: height - upright.x };
      const { x, y, width: w, height: h } = face!.boundingBox;
      assert.ok(
        Math.abs(x + w / 2 - expected.x) < 20 &&
          Math.abs(y + h / 2 - expected.y) < 20,
      );
      const { rightEye, leftEye } = face!.landmarks;
      const roll = Math.atan2(leftEye.y - rightEye.y, leftEye.x - rightEye.x) *
        180 / Math.PI;
      const wanted = orientation === 3 ? 180 : orientation === 6 ? 90 : -90;
      const off = Math.abs(((roll - wanted) % 360 + 540) % 360 - 180);
      assert.ok(off < 15, `roll ${roll}`);
    }));
}

Deno.test("detect() returns the largest face first", () =>
  withBackend(async (backend) => {
    const astronaut = await photo("astronaut.jpg");
    const image = paste(astronaut, 0.6, [900, 500], [20, 20]);
    const large = paste(astronaut, 0.9, [900, 500], [400, 20]);
    for (let i = 0; i < image.data.length; i++) {
      if (large.data[i] !== 128) image.data[i] = large.data[i]!;
    }
    const faces = await detect(context(image, backend));
    assert.equal(faces.length, 2);
    assert.ok(faces[0]!.boundingBox.width > faces[1]!.boundingBox.width);
  }));
