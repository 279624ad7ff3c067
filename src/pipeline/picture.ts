import type { Clock } from "./clock.ts";
import type { Scaled } from "./detect.ts";
import type { ImageHeader } from "./header.ts";
import { type RawImage, shrink } from "./image.ts";

/** Decodes at least `longestSide` pixels of a picture, or all it has. */
export type Decode = (
  options: { longestSide?: number },
) => Promise<RawImage>;

/** Longest side of the first decode: what the first look needs. Finer looks and small faces ask for more. */
const FIRST_DECODE = 320;

/**
 * A picture at the sizes it is asked for, no finer than needed: a JPEG is decoded anew for each,
 * what comes only in full size is decoded once and averaged down.
 *
 * @returns Gives the picture with its longest side at least so long, where the file has so many
 * pixels; finer where it already is.
 */
export function openPicture(
  header: ImageHeader,
  decode: Decode,
  clock: Clock,
): (longestSide: number) => Promise<Scaled> {
  const { upright } = header;
  const full = Math.max(upright.width, upright.height);
  let whole: RawImage | undefined, current: Scaled | undefined;

  async function decodeTo(longestSide: number): Promise<RawImage> {
    if (header.type === "image/jpeg") return await decode({ longestSide });
    return shrink(whole ??= await decode({}), longestSide);
  }

  return async (longestSide) => {
    const wanted = Math.min(full, Math.max(FIRST_DECODE, longestSide));
    const have = current && Math.max(current.image.width, current.image.height);
    if (current && have! >= wanted) return current;
    const image = await clock.time("decodeMs", () => decodeTo(wanted));
    const scale = upright.width >= upright.height
      ? upright.width / image.width
      : upright.height / image.height;
    return current = { image, scale };
  };
}
