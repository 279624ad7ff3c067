import type { RawImage } from "../pipeline/image.ts";

/** Pixels at hand: `ImageData`, or samples of one's own. */
export interface Pixels {
  /** Rows of interleaved 8-bit samples, RGBA unless `channels` says otherwise; no `Float16Array`. */
  readonly data: ArrayLike<number>;
  /** Pixels across. */
  readonly width: number;
  /** Pixels down. */
  readonly height: number;
  /** Samples per pixel. @default {4} */
  readonly channels?: 1 | 3 | 4;
}

/** `HTMLVideoElement`. */
export interface VideoLike {
  /** Pixels across; 0 until the first frame is there. */
  readonly videoWidth: number;
  /** Pixels down. */
  readonly videoHeight: number;
}

/** `HTMLImageElement`. */
export interface ImageLike {
  /** Pixels across; 0 until it has loaded. */
  readonly naturalWidth: number;
  /** Pixels down. */
  readonly naturalHeight: number;
}

/** `VideoFrame`. */
export interface FrameLike {
  /** Pixels across. */
  readonly displayWidth: number;
  /** Pixels down. */
  readonly displayHeight: number;
}

/** `HTMLCanvasElement` or `OffscreenCanvas`. */
export interface CanvasLike {
  /** Pixels across. */
  readonly width: number;
  /** Pixels down. */
  readonly height: number;
  /** What tells a canvas from a bitmap; it is not called here. */
  // deno-lint-ignore no-explicit-any
  getContext: (...args: any[]) => unknown;
}

/** `ImageBitmap`. */
export interface BitmapLike {
  /** Pixels across. */
  readonly width: number;
  /** Pixels down. */
  readonly height: number;
  /** Gives the pixels back. */
  close(): void;
}

/** Everything a browser can draw. Types are structural: no DOM library is needed to compile. */
export type Drawable =
  | VideoLike
  | ImageLike
  | FrameLike
  | CanvasLike
  | BitmapLike;

/** Anything that is pixels already. */
export type PixelSource = Pixels | Drawable;

/** What this file needs of a browser's canvas. */
interface Browser {
  OffscreenCanvas?: new (width: number, height: number) => {
    getContext(kind: "2d", options: { willReadFrequently: true }): {
      drawImage(source: Drawable, x: 0, y: 0): void;
      getImageData(x: 0, y: 0, width: number, height: number): RawImage;
    } | null;
  };
}

/** One property of each kind that no kind of bytes has. */
const MARKS = [
  "data",
  "videoWidth",
  "naturalWidth",
  "displayWidth",
  "getContext",
  "close",
];

/** Whether a value is pixels, and not bytes of a file. */
export function isPixelSource(value: unknown): value is PixelSource {
  return typeof value === "object" && value !== null &&
    MARKS.some((key) => key in value);
}

/** The size in pixels. @throws {TypeError} when there is no picture yet */
export function sizeOf(
  source: PixelSource,
): { width: number; height: number } {
  const [width, height] = "videoWidth" in source
    ? [source.videoWidth, source.videoHeight]
    : "naturalWidth" in source
    ? [source.naturalWidth, source.naturalHeight]
    : "displayWidth" in source
    ? [source.displayWidth, source.displayHeight]
    : [source.width, source.height];
  if (width > 0 && height > 0) return { width, height };
  throw new TypeError(
    `Cannot read pixels: the picture is ${width}x${height}, wait until it has loaded`,
  );
}

/**
 * The pixels of an `ImageData`, `ImageBitmap`, canvas, image, video or video frame, as every
 * function of the preprocessing takes them. Alpha is not looked at.
 *
 * @throws {TypeError} when there is no picture yet, or the runtime cannot read this kind
 */
export function toRawImage(source: PixelSource): RawImage {
  const { width, height } = sizeOf(source);
  if ("data" in source) {
    const { data, channels = 4 } = source;
    const bytes = data instanceof Uint8Array ||
      data instanceof Uint8ClampedArray;
    if (bytes && data.length === width * height * channels) {
      return { data, width, height, channels };
    }
    throw new TypeError(
      `Cannot read pixels: ${data.length} samples are no bytes of ${width}x${height}x${channels}`,
    );
  }
  const { OffscreenCanvas } = globalThis as Browser;
  const context = OffscreenCanvas &&
    new OffscreenCanvas(width, height).getContext("2d", {
      willReadFrequently: true,
    });
  if (!context) {
    throw new TypeError(
      "Cannot read pixels: this runtime has no 2d canvas, pass ImageData or the image's bytes",
    );
  }
  context.drawImage(source, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  return { data, width, height, channels: 4 };
}
