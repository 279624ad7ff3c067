import type { RawImage } from "./image.ts";

/**
 * The picture turned upright.
 *
 * @param orientation EXIF orientation, 1 to 8; with 1 the very image comes back.
 */
export function orient(image: RawImage, orientation: number): RawImage {
  if (orientation === 1) return image;
  const { data, width, height, channels } = image;
  const mirrored = [2, 3, 7, 8].includes(orientation);
  const flipped = [3, 4, 6, 7].includes(orientation);
  const transposed = orientation >= 5;

  const across = mirrored ? -channels : channels;
  const down = flipped ? -width * channels : width * channels;
  const step = transposed ? down : across;
  const rowStep = transposed ? across : down;
  const columns = transposed ? height : width;
  const rows = transposed ? width : height;

  let row = ((flipped ? height - 1 : 0) * width + (mirrored ? width - 1 : 0)) *
    channels;
  const turned = new Uint8Array(width * height * channels);
  for (let y = 0, to = 0; y < rows; y++, row += rowStep) {
    for (let x = 0, from = row; x < columns; x++, from += step) {
      for (let c = 0; c < channels; c++) turned[to++] = data[from + c]!;
    }
  }
  return { data: turned, width: columns, height: rows, channels };
}
