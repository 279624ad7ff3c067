import { decode } from "../../src/pipeline/decode.ts";
import { readHeader } from "../../src/pipeline/header.ts";
import { type RawImage, warp } from "../../src/pipeline/image.ts";
import { encodePng } from "../../src/pipeline/png.ts";
import { fixture, LIMITS } from "../testdata/pictures.ts";

/** The portrait, upright, in full size. */
async function portrait(): Promise<RawImage> {
  const bytes = fixture("astronaut.jpg");
  return await decode(bytes, readHeader(bytes, LIMITS));
}

/** A PNG with the portrait at half size on the left and in full size on the right. */
export async function twoFaces(): Promise<Uint8Array<ArrayBuffer>> {
  const one = await portrait();
  const width = one.width * 1.5, height = one.height, half = one.width / 2;
  const data = new Uint8Array(width * height * 3).fill(128);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const small = x < half;
      if (small && y >= height / 2) continue;
      const [u, v] = small ? [2 * x, 2 * y] : [x - half, y];
      const from = (v * one.width + u) * 3;
      data.set(one.data.subarray(from, from + 3), (y * width + x) * 3);
    }
  }
  return await encodePng({ data, width, height, channels: 3 });
}

/** A gray PNG of a square of the portrait, `side` pixels wide: the face as a caller would crop it. */
export async function faceCrop(
  box: { x: number; y: number; width: number; height: number },
  side: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const one = await portrait();
  const map = { a: box.width / side, b: 0, tx: box.x, ty: box.y };
  const samples = warp(one, map, side, side, "gray");
  const data = Uint8Array.from(samples, (value) => Math.round(value));
  return await encodePng({ data, width: side, height: side, channels: 1 });
}
