import type { ImageLimits, ImageType } from "../types.ts";
import { PipelineError } from "./error.ts";
import type { RawImage } from "./image.ts";
import { readJpegHeader } from "./jpeg_header.ts";
import { hasMagic } from "./magic.ts";
import { readPngHeader } from "./png_header.ts";
import { readWebpHeader } from "./webp_header.ts";

/** What each format's own header says. */
export interface StoredHeader {
  /** As stored, before orientation. */
  width: number;
  height: number;
  /** EXIF orientation, 1 to 8. */
  orientation: number;
}

/** What a picture's first bytes say of it, read before any codec runs. */
export interface ImageHeader extends StoredHeader {
  type: ImageType | "pixels";
  /** The size after orientation. */
  upright: { width: number; height: number };
}

const SUPPORTED = "send a JPEG, PNG or WebP";

/** Leading bytes of formats that are not read, at their offsets. */
const OTHERS: [name: string, offset: number, magic: string][] = [
  ["GIF", 0, "GIF8"],
  ["AVIF", 4, "ftypavi"],
  ["HEIC", 4, "ftyphe"],
  ["HEIC", 4, "ftypmif1"],
  ["HEIC", 4, "ftypmsf1"],
  ["video", 4, "ftyp"],
  ["BMP", 0, "BM"],
  ["TIFF", 0, "II*\0"],
  ["TIFF", 0, "MM\0*"],
  ["JPEG XL", 0, "\xff\x0a"],
  ["JPEG XL", 4, "JXL "],
  ["JPEG 2000", 4, "jP  "],
  ["PDF", 0, "%PDF"],
  ["SVG", 0, "<svg"],
  ["PSD", 0, "8BPS"],
  ["ICO", 0, "\0\0\x01\0"],
];

/**
 * Reads type, size and orientation in linear time and holds them against the limits.
 * The bytes decide the type; a codec may still find the rest of them broken.
 *
 * @throws {PipelineError} `unsupported_image`, `corrupt_image`, `image_too_large` or
 * `image_too_small`.
 */
export function readHeader(
  bytes: Uint8Array,
  limits: ImageLimits,
): ImageHeader {
  const type = sniff(bytes);
  const { width, height, orientation } = readStored(bytes, type);
  checkSize(width, height, limits);
  const upright = orientation >= 5
    ? { width: height, height: width }
    : { width, height };
  return { type, width, height, orientation, upright };
}

/** The header of a picture that is decoded already. @throws {PipelineError} as {@linkcode readHeader} */
export function headerOf(
  { width, height }: RawImage,
  limits: ImageLimits,
): ImageHeader {
  checkSize(width, height, limits);
  const upright = { width, height };
  return { type: "pixels", width, height, orientation: 1, upright };
}

function sniff(bytes: Uint8Array): ImageType {
  if (hasMagic(bytes, 0, "\xff\xd8\xff")) return "image/jpeg";
  if (hasMagic(bytes, 0, "\x89PNG\r\n\x1a\n")) return "image/png";
  if (hasMagic(bytes, 0, "RIFF") && hasMagic(bytes, 8, "WEBP")) {
    return "image/webp";
  }
  const other = OTHERS.find(([, ...magic]) => hasMagic(bytes, ...magic));
  let seen = "its format is unknown";
  if (bytes.length === 0) seen = "it is empty";
  else if (other) seen = `it is ${other[0]}`;
  const detail = `Cannot read image: ${seen}; ${SUPPORTED}`;
  throw new PipelineError("unsupported_image", detail);
}

function readStored(bytes: Uint8Array, type: ImageType): StoredHeader {
  try {
    if (type === "image/jpeg") return readJpegHeader(bytes);
    return type === "image/png" ? readPngHeader(bytes) : readWebpHeader(bytes);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const detail = "Cannot read image: it ends inside its header";
    throw new PipelineError("corrupt_image", detail, { cause: error });
  }
}

function checkSize(width: number, height: number, limits: ImageLimits): void {
  const size = `${width}x${height} pixels`;
  if (width === 0 || height === 0) {
    throw new PipelineError(
      "corrupt_image",
      `Cannot read image: its header says ${size}`,
    );
  }
  if (Math.max(width, height) > limits.maxSide) {
    const detail =
      `Cannot read image: ${size}; at most ${limits.maxSide} a side are allowed`;
    throw new PipelineError("image_too_large", detail);
  }
  if (width * height > limits.maxPixels) {
    const detail =
      `Cannot read image: ${size}; at most ${limits.maxPixels} in all are allowed`;
    throw new PipelineError("image_too_large", detail);
  }
  if (Math.min(width, height) < limits.minSide) {
    const detail =
      `Cannot read image: ${size}; at least ${limits.minSide} a side are needed`;
    throw new PipelineError("image_too_small", detail);
  }
}
