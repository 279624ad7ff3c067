import type { RawImage } from "../pipeline/image.ts";
import { encodePng } from "../pipeline/png.ts";
import { type EncodedImage, toBytes } from "./bytes.ts";
import {
  type Drawable,
  isPixelSource,
  type PixelSource,
  sizeOf,
  toRawImage,
} from "./canvas.ts";

/** Every kind of picture that is taken. */
export type ImageInput = EncodedImage | PixelSource;

/** What this file needs of a browser, or of Deno 2.9. */
interface Browser {
  createImageBitmap?(
    source: Blob | Drawable | ImageData,
    options?: {
      resizeWidth: number;
      resizeHeight: number;
      resizeQuality: "high";
    },
  ): Promise<Bitmap>;
  OffscreenCanvas?: new (width: number, height: number) => {
    getContext(kind: "bitmaprenderer"): {
      transferFromImageBitmap(bitmap: Bitmap): void;
    };
    convertToBlob(options: { type: string; quality: number }): Promise<Blob>;
  };
}

interface Bitmap {
  readonly width: number;
  readonly height: number;
  close(): void;
}

/** JPEG quality of what is encoded here: artefacts stay under what moves a score. */
const QUALITY = 0.92;

/**
 * A picture as the body of a request. Bytes go as they are unless `maxSide` shrinks them; pixels
 * are encoded, as JPEG where there is a canvas to do it and as PNG where not.
 *
 * @param maxSide Longest side in pixels; absent leaves the size alone.
 * @throws {TypeError} when the picture is none, or cannot be shrunk in this runtime
 */
export async function toUpload(
  image: ImageInput,
  maxSide: number = Infinity,
): Promise<Blob> {
  const { createImageBitmap } = globalThis as unknown as Browser;
  if (!isPixelSource(image)) {
    const blob = image instanceof Blob
      ? image
      : new Blob([await toBytes(image)]);
    if (maxSide === Infinity) return blob;
    if (!createImageBitmap) {
      throw new TypeError(
        "Cannot shrink image: this runtime has no createImageBitmap, leave maxSide out or pass pixels",
      );
    }
    const bitmap = await createImageBitmap(blob);
    const fits = Math.max(bitmap.width, bitmap.height) <= maxSide;
    if (!fits) return await encode(bitmap, fit(bitmap, maxSide));
    bitmap.close();
    return blob;
  }
  const size = fit(sizeOf(image), maxSide);
  if (!("data" in image)) return await encode(image, size);
  const pixels = toRawImage(image);
  if (createImageBitmap && pixels.channels === 4) {
    const { width, height, data } = pixels;
    const copy = new ImageData(new Uint8ClampedArray(data), width, height);
    return await encode(copy, size);
  }
  const png = await encodePng(shrink(pixels, maxSide));
  return new Blob([png], { type: "image/png" });
}

/** A size whose longest side is at most `maxSide`, in the same proportion. */
function fit(
  { width, height }: { width: number; height: number },
  maxSide: number,
): { width: number; height: number } {
  const scale = Math.min(1, maxSide / Math.max(width, height));
  return {
    width: Math.max(1, Math.round(width * scale)),
    height: Math.max(1, Math.round(height * scale)),
  };
}

async function encode(
  source: Drawable | ImageData | Bitmap,
  { width, height }: { width: number; height: number },
): Promise<Blob> {
  const { createImageBitmap, OffscreenCanvas } =
    globalThis as unknown as Browser;
  if (!createImageBitmap || !OffscreenCanvas) {
    throw new TypeError(
      "Cannot encode image: this runtime has no canvas, pass ImageData or the image's bytes",
    );
  }
  const bitmap = await createImageBitmap(source as Drawable, {
    resizeWidth: width,
    resizeHeight: height,
    resizeQuality: "high",
  });
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("bitmaprenderer").transferFromImageBitmap(bitmap);
  return await canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
}

/** Averages square blocks: the smallest whole factor that fits, so this stays a dozen lines. */
function shrink(image: RawImage, maxSide: number): RawImage {
  const { data: from, channels } = image;
  const longest = Math.max(image.width, image.height);
  const factor = Math.max(1, Math.ceil(longest / maxSide));
  if (factor === 1) return image;
  const width = Math.max(1, Math.floor(image.width / factor));
  const height = Math.max(1, Math.floor(image.height / factor));
  const data = new Uint8Array(width * height * channels);
  for (let i = 0; i < data.length; i++) {
    const c = i % channels, pixel = (i - c) / channels;
    const left = pixel % width * factor,
      top = Math.floor(pixel / width) * factor;
    const right = Math.min(left + factor, image.width),
      bottom = Math.min(top + factor, image.height);
    let sum = 0;
    for (let y = top; y < bottom; y++) {
      for (let x = left; x < right; x++) {
        sum += from[(y * image.width + x) * channels + c]!;
      }
    }
    data[i] = Math.round(sum / ((right - left) * (bottom - top)));
  }
  return { data, width, height, channels };
}
