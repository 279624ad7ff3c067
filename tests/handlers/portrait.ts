import { decode } from "../../src/pipeline/decode.ts";
import { readHeader } from "../../src/pipeline/header.ts";
import type { RawImage } from "../../src/pipeline/image.ts";
import { encodePng } from "../../src/pipeline/png.ts";
import { fixture, LIMITS } from "../testdata/pictures.ts";

const PHOTO = fixture("astronaut.jpg");

/** The portrait with its pixels moved and changed. */
export async function altered(
  value: (at: (x: number, y: number) => number, x: number, y: number) => number,
): Promise<Uint8Array<ArrayBuffer>> {
  const image: RawImage = await decode(PHOTO, readHeader(PHOTO, LIMITS));
  const { data, width, height } = image, out = new Uint8Array(data.length);
  for (let i = 0; i < out.length; i++) {
    const c = i % 3, x = (i - c) / 3 % width, y = Math.floor(i / 3 / width);
    const at = (x: number, y: number) =>
      data[
        (Math.min(height - 1, Math.max(0, y)) * width +
            Math.min(width - 1, Math.max(0, x))) * 3 + c
      ]!;
    out[i] = Math.round(value(at, x, y));
  }
  return await encodePng({ ...image, data: out });
}

/** The portrait with its smile squeezed away, so that the expression model calls it neutral. */
export async function calm(
  { light = (value) => value, smile = 0 }: {
    /** What becomes of a sample, by its column. */
    light?: (value: number, x: number) => number;
    /** Share of the smile that is left, 0 to 1. */
    smile?: number;
  } = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const mouth = { x: 222, y: 137, width: 36, height: 21 };
  return await altered((at, x, y) => {
    const dx = (x - mouth.x) / mouth.width, dy = (y - mouth.y) / mouth.height;
    if (dx ** 2 + dy ** 2 >= 1) return light(at(x, y), x);
    const away = mouth.height * (0.7 + 0.3 * Math.abs(dy));
    const from = Math.round(mouth.y + (Math.sign(dy) || 1) * away);
    return light(smile * at(x, y) + (1 - smile) * at(x, from), x);
  });
}
