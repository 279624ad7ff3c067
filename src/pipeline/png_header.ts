import { PipelineError } from "./error.ts";
import { exifOrientation } from "./exif.ts";
import type { StoredHeader } from "./header.ts";
import { hasMagic } from "./magic.ts";

/**
 * Reads size and orientation; an eXIf chunk may come before or after the pixels.
 *
 * @throws {PipelineError} `corrupt_image`.
 * @throws {RangeError} When the file ends inside its header.
 */
export function readPngHeader(bytes: Uint8Array): StoredHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = { width: view.getUint32(16), height: view.getUint32(20) };
  if (!hasMagic(bytes, 12, "IHDR")) {
    throw new PipelineError(
      "corrupt_image",
      "Cannot read image: its PNG header is missing",
    );
  }
  for (let offset = 8; offset + 8 <= bytes.length;) {
    const end = offset + 8 + view.getUint32(offset);
    if (hasMagic(bytes, offset + 4, "eXIf")) {
      return {
        ...size,
        orientation: exifOrientation(bytes.subarray(offset + 8, end)),
      };
    }
    offset = end + 4;
  }
  return { ...size, orientation: 1 };
}

/** The channels to decode to: gray, with or without alpha, keeps one. */
export function pngChannels(bytes: Uint8Array): 1 | 3 {
  const colorType = bytes[25];
  return colorType === 0 || colorType === 4 ? 1 : 3;
}
