import {
  decodeJpeg,
  decodePng,
  type JpegPixels,
  type LoadCodec,
  loadCodec,
  openWebp,
} from "./codecs.ts";
import { PipelineError } from "./error.ts";
import type { ImageHeader } from "./header.ts";
import { type RawImage, scaleDivisor } from "./image.ts";
import { orient } from "./orient.ts";
import { pngChannels } from "./png_header.ts";

/** Options of {@linkcode decode}. */
export interface DecodeOptions {
  /**
   * A JPEG is decoded at the smallest of 1/8, 1/4, 1/2 and 1 whose longest side reaches this.
   * Other formats come in full size. Full size when absent.
   */
  longestSide?: number;
  /** Where the codecs come from. @default {loadCodec} */
  codecs?: LoadCodec;
}

/** An opened codec: gives the pixels as stored, or throws when they are broken. */
type Codec = () => RawImage | Promise<RawImage>;

/**
 * Decodes a picture and turns it upright. Alpha is laid over white, CMYK becomes RGB and gray
 * keeps its one channel.
 *
 * @param header What {@linkcode readHeader} made of the same bytes.
 * @throws {PipelineError} `corrupt_image`.
 */
export async function decode(
  bytes: Uint8Array,
  header: ImageHeader,
  options: DecodeOptions = {},
): Promise<RawImage> {
  const size = decodedSize(header, options.longestSide);
  const codec = await openCodec(bytes, header, size, options);
  let image: RawImage;
  try {
    image = await codec();
  } catch (error) {
    const detail = "Cannot decode image: its data is damaged or incomplete";
    throw new PipelineError("corrupt_image", detail, { cause: error });
  }
  if (image.width !== size.width || image.height !== size.height) {
    const detail = "Cannot decode image: its header gives another size";
    throw new PipelineError("corrupt_image", detail);
  }
  return orient(image, header.orientation);
}

async function openCodec(
  bytes: Uint8Array,
  header: ImageHeader,
  size: { width: number; height: number },
  { codecs = loadCodec }: DecodeOptions,
): Promise<Codec> {
  if (header.type === "image/jpeg") {
    const module = await codecs("jpeg");
    return () => fromJpeg(decodeJpeg(module, bytes, size));
  }
  if (header.type === "image/png") {
    const module = await codecs("png");
    return () => {
      const { buffer: data, width, height } = decodePng(module, bytes);
      return flatten(
        { data, width, height, channels: 4 },
        pngChannels(bytes),
      );
    };
  }
  const decodeWebp = await openWebp(await codecs("webp"));
  return async () => {
    const { data, width, height } = await decodeWebp(bytes);
    return flatten({ data, width, height, channels: 4 }, 3);
  };
}

function decodedSize(
  { type, width, height }: ImageHeader,
  longestSide = Infinity,
): { width: number; height: number } {
  const divisor = type === "image/jpeg"
    ? scaleDivisor(Math.max(width, height), longestSide)
    : 1;
  return {
    width: Math.ceil(width / divisor),
    height: Math.ceil(height / divisor),
  };
}

function fromJpeg(
  { buffer, width, height, format }: JpegPixels,
): RawImage {
  if (format === 0) return { data: buffer, width, height, channels: 1 };
  if (format === 1) return { data: buffer, width, height, channels: 3 };
  const data = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < data.length; from += 4) {
    const light = 255 - buffer[from + 3]!;
    for (let c = 0; c < 3; c++) {
      data[to++] = ((255 - buffer[from + c]!) * light + 127) / 255;
    }
  }
  return { data, width, height, channels: 3 };
}

function flatten(
  { data: rgba, width, height }: RawImage,
  channels: 1 | 3,
): RawImage {
  const data = new Uint8Array(width * height * channels);
  for (let from = 0, to = 0; to < data.length; from += 4) {
    const alpha = rgba[from + 3]!;
    if (alpha === 255) {
      for (let c = 0; c < channels; c++) data[to++] = rgba[from + c]!;
      continue;
    }
    const white = 255 * (255 - alpha) + 127;
    for (let c = 0; c < channels; c++) {
      data[to++] = (rgba[from + c]! * alpha + white) / 255;
    }
  }
  return { data, width, height, channels };
}
