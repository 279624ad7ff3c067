import assert from "node:assert/strict";
import { crc32 as zlibCrc32, inflateSync } from "node:zlib";
import png from "imagescript/wasm/node/png.js";
import type { RawImage } from "../../src/pipeline/image.ts";
import { crc32, encodePng } from "../../src/pipeline/png.ts";

function noise(width: number, height: number, channels: 1 | 3 | 4): RawImage {
  let state = width * 7919 + height * 104729 + channels;
  const data = Uint8Array.from(
    { length: width * height * channels },
    (_, i) => {
      state = Math.imul(state, 1664525) + 1013904223 >>> 0;
      return i % 5 === 0 ? i & 255 : state >>> 24;
    },
  );
  return { data, width, height, channels };
}

/** The picture as RGBA samples, which is what the independent decoder gives. */
function toRgba({ data, width, height, channels }: RawImage): number[] {
  const out: number[] = [];
  for (let i = 0; i < width * height; i++) {
    const at = i * channels;
    const gray = channels === 1;
    out.push(data[at]!, data[gray ? at : at + 1]!, data[gray ? at : at + 2]!);
    out.push(channels === 4 ? data[at + 3]! : 255);
  }
  return out;
}

async function assertRoundTrip(image: RawImage): Promise<void> {
  const decoded = (await png.init()).decode(await encodePng(image));
  assert.equal(decoded.width, image.width);
  assert.equal(decoded.height, image.height);
  assert.deepEqual([...decoded.framebuffer], toRgba(image));
}

for (const channels of [1, 3, 4] as const) {
  for (
    const [width, height] of [[1, 1], [1, 9], [13, 1], [7, 5], [64, 64], [
      161,
      123,
    ]] as const
  ) {
    Deno.test(`encodePng() round-trips ${width}x${height} with ${channels} channels`, async () => {
      await assertRoundTrip(noise(width, height, channels));
    });
  }
}

Deno.test("encodePng() writes signature, IHDR, IDAT and IEND with matching CRCs", async () => {
  const bytes = await encodePng(noise(5, 3, 3));
  assert.deepEqual([...bytes.subarray(0, 8)], [
    137,
    80,
    78,
    71,
    13,
    10,
    26,
    10,
  ]);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const types: string[] = [];
  for (let at = 8; at < bytes.length;) {
    const length = view.getUint32(at);
    const body = bytes.subarray(at + 4, at + 8 + length);
    types.push(String.fromCharCode(...body.subarray(0, 4)));
    assert.equal(view.getUint32(at + 8 + length), zlibCrc32(body));
    at += length + 12;
  }
  assert.deepEqual(types, ["IHDR", "IDAT", "IEND"]);
});

Deno.test("encodePng() filters: a smooth gradient takes under a twentieth of its raw size", async () => {
  const [width, height] = [256, 256];
  const data = Uint8Array.from(
    { length: width * height },
    (_, i) => ((i % width) + Math.floor(i / width)) & 255,
  );
  const bytes = await encodePng({ data, width, height, channels: 1 });
  assert.ok(bytes.length < data.length / 20, `${bytes.length} bytes`);
});

Deno.test("encodePng() takes Uint8ClampedArray and a view into a larger buffer", async () => {
  const buffer = new Uint8ClampedArray(20).fill(9);
  const view = buffer.subarray(4, 16);
  view.set([1, 2, 3, 4, 5, 6, 7, 8, 250, 251, 252, 253]);
  await assertRoundTrip({ data: view, width: 2, height: 2, channels: 3 });
});

Deno.test("encodePng() writes zlib data that an ordinary inflate reads", async () => {
  const bytes = await encodePng({
    data: Uint8Array.of(42),
    width: 1,
    height: 1,
    channels: 1,
  });
  const length = new DataView(bytes.buffer).getUint32(33);
  assert.deepEqual([...inflateSync(bytes.subarray(41, 41 + length))], [1, 42]);
});

Deno.test("encodePng() rejects data that does not fit the size", async () => {
  const data = new Uint8Array(5);
  await assert.rejects(
    encodePng({ data, width: 2, height: 2, channels: 1 }),
    /5 samples, expected 4/,
  );
  await assert.rejects(
    encodePng({ data, width: 0, height: 2, channels: 1 }),
    /size is 0x2/,
  );
  await assert.rejects(
    encodePng({ data, width: 2.5, height: 2, channels: 1 }),
    /size is 2.5x2/,
  );
});

Deno.test("crc32() agrees with zlib and the standard check value", () => {
  const text = new TextEncoder().encode("123456789");
  assert.equal(crc32(text), 0xcbf43926);
  assert.equal(crc32(new Uint8Array(0)), 0);
  const bytes = noise(50, 50, 3).data as Uint8Array;
  assert.equal(crc32(bytes), zlibCrc32(bytes));
});
