import { decode } from "../../src/pipeline/decode.ts";
import { readHeader } from "../../src/pipeline/header.ts";
import { IMAGE_LIMITS } from "../../src/pipeline/mod.ts";

/** A film that shows one colour photo throughout, as Chromium's fake camera takes it: Y4M. */
export async function film(
  photo: Uint8Array,
): Promise<Uint8Array<ArrayBuffer>> {
  const { data, width, height, channels } = await decode(
    photo,
    readHeader(photo, IMAGE_LIMITS),
  );
  const half = width >> 1, area = width * height;
  const yuv = new Uint8Array(area * 3 / 2);
  for (let i = 0; i < area; i++) {
    const x = i % width, y = Math.floor(i / width);
    const [r, g, b] = data.subarray(i * channels) as unknown as number[];
    yuv[i] = 16 + (65.7 * r! + 129.1 * g! + 25.1 * b!) / 256;
    if (x % 2 || y % 2) continue;
    const at = area + (y >> 1) * half + (x >> 1);
    yuv[at] = 128 + (-37.9 * r! - 74.5 * g! + 112.4 * b!) / 256;
    yuv[at + area / 4] = 128 + (112.4 * r! - 94.2 * g! - 18.3 * b!) / 256;
  }
  const head = `YUV4MPEG2 W${width} H${height} F30:1 Ip A1:1 C420\nFRAME\n`;
  return new Uint8Array(await new Blob([head, yuv]).arrayBuffer());
}
