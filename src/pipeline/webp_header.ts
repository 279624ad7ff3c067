import { PipelineError } from "./error.ts";
import { exifOrientation } from "./exif.ts";
import type { StoredHeader } from "./header.ts";
import { hasMagic } from "./magic.ts";

/**
 * Reads size and orientation of the lossy, lossless and extended layouts.
 *
 * @throws {PipelineError} `corrupt_image`, or `unsupported_image` for an animation.
 * @throws {RangeError} When the file ends inside its header.
 */
export function readWebpHeader(bytes: Uint8Array): StoredHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (hasMagic(bytes, 12, "VP8 ")) {
    const size = {
      width: view.getUint16(26, true),
      height: view.getUint16(28, true),
    };
    if (!hasMagic(bytes, 23, "\x9d\x01\x2a")) {
      throw corrupt("its WebP key frame is missing");
    }
    return {
      width: size.width & 0x3fff,
      height: size.height & 0x3fff,
      orientation: 1,
    };
  }
  if (hasMagic(bytes, 12, "VP8L")) {
    const bits = view.getUint32(21, true);
    if (bytes[20] !== 0x2f) throw corrupt("its WebP signature is missing");
    return {
      width: (bits & 0x3fff) + 1,
      height: ((bits >> 14) & 0x3fff) + 1,
      orientation: 1,
    };
  }
  if (!hasMagic(bytes, 12, "VP8X")) throw corrupt("its WebP header is missing");
  const width = (view.getUint32(24, true) & 0xffffff) + 1;
  const height = (view.getUint32(26, true) >>> 8) + 1;
  if (view.getUint8(20) & 0x02) {
    const detail =
      `Cannot read image: it is an animated WebP; send a single picture`;
    throw new PipelineError("unsupported_image", detail);
  }
  return { width, height, orientation: webpOrientation(bytes, view) };
}

function webpOrientation(bytes: Uint8Array, view: DataView): number {
  for (let offset = 12; offset + 8 <= bytes.length;) {
    const length = view.getUint32(offset + 4, true);
    if (hasMagic(bytes, offset, "EXIF")) {
      const start = offset + (hasMagic(bytes, offset + 8, "Exif\0\0") ? 14 : 8);
      return exifOrientation(bytes.subarray(start, offset + 8 + length));
    }
    offset += 8 + length + (length & 1);
  }
  return 1;
}

function corrupt(reason: string): PipelineError {
  return new PipelineError("corrupt_image", `Cannot read image: ${reason}`);
}
