import type { RawImage } from "../../src/pipeline/image.ts";
import type { ImageLimits } from "../../src/types.ts";

/** The size of every ramp but large.jpg. */
export const WIDTH = 47;
export const HEIGHT = 33;

/** The contract's default limits. */
export const LIMITS: ImageLimits = {
  maxPixels: 24_000_000,
  maxSide: 12_000,
  minSide: 32,
};

/** The bytes of a file in images/. */
export function fixture(name: string): Uint8Array<ArrayBuffer> {
  return Deno.readFileSync(new URL(`images/${name}`, import.meta.url));
}

/** Every drawn file in images/, without the photographs. */
export function fixtureNames(): string[] {
  const photos = ["astronaut.jpg", "coffee.jpg"];
  return [...Deno.readDirSync(new URL("images/", import.meta.url))]
    .map((entry) => entry.name)
    .filter((name) => !photos.includes(name))
    .sort();
}

/** The picture make_images.py drew: red grows rightwards, green downwards. */
export function ramp(width = WIDTH, height = HEIGHT): RawImage {
  const data = [];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const red = Math.round((255 * x) / (width - 1));
      const green = Math.round((255 * y) / (height - 1));
      data.push(red, green, 255 - ((red + green) >> 1));
    }
  }
  return { data: Uint8Array.from(data), width, height, channels: 3 };
}

/** The gray of make_images.py: the inverse of blue. */
export function grayOf({ data, width, height }: RawImage): RawImage {
  const gray = data.filter((_, i) => i % 3 === 2).map((blue) => 255 - blue);
  return { data: gray, width, height, channels: 1 };
}

/** The picture over white, opaque as `alpha` says for each pixel. */
export function overWhite(
  image: RawImage,
  alpha: (pixel: number) => number,
): RawImage {
  const data = image.data.map((value, i) => {
    const share = alpha(Math.floor(i / image.channels)) / 255;
    return Math.round(value * share + 255 * (1 - share));
  });
  return { ...image, data };
}

/** The largest difference of any sample; infinite when the shapes differ. */
export function maxDifference(a: RawImage, b: RawImage): number {
  const shape = ({ data, width, height, channels }: RawImage) =>
    [data.length, width, height, channels].join();
  if (shape(a) !== shape(b)) return Infinity;
  let worst = 0;
  for (let i = 0; i < a.data.length; i++) {
    worst = Math.max(worst, Math.abs(a.data[i]! - b.data[i]!));
  }
  return worst;
}

/** Numbers in [0, 1) that are the same on every run (mulberry32). */
export function seeded(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
