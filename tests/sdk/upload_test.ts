import assert from "node:assert/strict";
import { decode } from "../../src/pipeline/decode.ts";
import { readHeader } from "../../src/pipeline/header.ts";
import { IMAGE_LIMITS } from "../../src/pipeline/mod.ts";
import { type ImageInput, toUpload } from "../../src/sdk/upload.ts";
import { fixture } from "../testdata/pictures.ts";

const photo = await fixture("astronaut.jpg");

async function decoded(blob: Blob) {
  const bytes = await blob.bytes();
  const header = readHeader(bytes, { ...IMAGE_LIMITS, minSide: 1 });
  return { header, image: await decode(bytes, header) };
}

const SAME: [name: string, input: () => ImageInput][] = [
  ["Blob", () => new Blob([photo])],
  ["File", () => new File([photo], "photo.jpg", { type: "image/jpeg" })],
  ["Uint8Array", () => photo],
  ["Uint8Array that is part of a buffer", () => {
    const larger = new Uint8Array(photo.length + 20);
    larger.set(photo, 7);
    return larger.subarray(7, 7 + photo.length);
  }],
  ["ArrayBuffer", () => photo.slice().buffer],
  ["ReadableStream", () => new Blob([photo]).stream()],
  ["data: URL", () => new URL(dataUrl())],
  ["data: text", () => dataUrl() as `data:${string}`],
];

function dataUrl(): string {
  const text = Array.from(photo, (byte) => String.fromCharCode(byte)).join("");
  return `data:image/jpeg;base64,${btoa(text)}`;
}

for (const [name, input] of SAME) {
  Deno.test(`toUpload() sends the bytes of a ${name} as they are`, async () => {
    assert.deepEqual(await (await toUpload(input())).bytes(), photo);
    assert.deepEqual(await (await toUpload(input(), 512)).bytes(), photo);
  });
}

Deno.test("toUpload() shrinks encoded bytes to maxSide", async () => {
  const { header } = await decoded(await toUpload(photo, 128));
  assert.deepEqual([header.width, header.height], [128, 128]);
});

Deno.test("toUpload() shrinks a photo the way up it is to be seen", async () => {
  const { header } = await decoded(
    await toUpload(fixture("orientation_6.jpg"), 24),
  );
  assert.deepEqual([header.width, header.height, header.orientation], [
    24,
    17,
    1,
  ]);
});

function pixels(width: number, height: number, channels: 1 | 3 | 4 = 4) {
  const data = new Uint8ClampedArray(width * height * channels);
  for (let i = 0; i < data.length; i++) {
    data[i] = channels === 4 && i % 4 === 3
      ? 255
      : 255 * Math.floor(i / channels % width / width * 2) / 2 + 30 * (i % 3);
  }
  return { data, width, height, channels };
}

Deno.test("toUpload() encodes an ImageData, shrunk where asked", async () => {
  const { data, width, height } = pixels(64, 40);
  const image = new ImageData(data, width, height);
  const whole = await decoded(await toUpload(image));
  assert.deepEqual([whole.header.width, whole.header.height], [64, 40]);
  const at = (10 * 64 + 50) * 3;
  for (let c = 0; c < 3; c++) {
    const error = whole.image.data[at + c]! - data[(10 * 64 + 50) * 4 + c]!;
    assert.ok(Math.abs(error) < 12, String(error));
  }
  const half = await decoded(await toUpload(image, 32));
  assert.deepEqual([half.header.width, half.header.height], [32, 20]);
});

Deno.test("toUpload() encodes an ImageBitmap", async () => {
  const bitmap = await createImageBitmap(new Blob([photo]));
  const { header } = await decoded(await toUpload(bitmap, 100));
  assert.deepEqual([header.width, header.height], [100, 100]);
  bitmap.close();
});

Deno.test("toUpload() encodes pixels as PNG where there is no canvas, averaging blocks", async () => {
  const browser = globalThis as { createImageBitmap?: unknown };
  const { createImageBitmap } = browser;
  delete browser.createImageBitmap;
  try {
    for (const channels of [1, 3, 4] as const) {
      const image = pixels(65, 40, channels);
      const same = await decoded(await toUpload(image));
      assert.equal(same.header.type, "image/png");
      assert.deepEqual([same.header.width, same.header.height], [65, 40]);
      const third = await decoded(await toUpload(image, 30));
      assert.deepEqual([third.header.width, third.header.height], [21, 13]);
      const from = (y: number, x: number) =>
        image.data[(y * 65 + x) * channels]!;
      let sum = 0;
      for (let i = 0; i < 9; i++) {
        sum += from(3 + Math.floor(i / 3), 30 + i % 3);
      }
      const step = third.image.channels;
      assert.equal(third.image.data[(21 + 10) * step], Math.round(sum / 9));
    }
    await assert.rejects(toUpload(photo, 100), /no createImageBitmap/);
    assert.deepEqual(await (await toUpload(photo)).bytes(), photo);
  } finally {
    browser.createImageBitmap = createImageBitmap;
  }
});

const WRONG: [name: string, input: unknown, message: RegExp][] = [
  ["a URL of the web", new URL("https://example.org/a.jpg"), /fetch the image/],
  ["a text", "photo.jpg", /only data: URLs/],
  ["a number", 5, /pass a Blob/],
  ["null", null, /pass a Blob/],
  ["nothing", undefined, /pass a Blob/],
  ["a video without a frame", { videoWidth: 0, videoHeight: 0 }, /0x0/],
  [
    "samples that are too few",
    { data: new Uint8Array(3), width: 2, height: 2 },
    /3 samples/,
  ],
];

for (const [name, input, message] of WRONG) {
  Deno.test(`toUpload() throws TypeError on ${name}`, async () => {
    await assert.rejects(toUpload(input as ImageInput), (error: unknown) => {
      assert.ok(error instanceof TypeError);
      assert.match(error.message, message);
      return true;
    });
  });
}
