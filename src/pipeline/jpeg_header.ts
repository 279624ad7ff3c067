import { PipelineError } from "./error.ts";
import { exifOrientation } from "./exif.ts";
import type { StoredHeader } from "./header.ts";
import { hasMagic } from "./magic.ts";

/** Encoders write about ten; each costs the decoder a pass over all pixels. */
const MAX_SCANS = 32;

/**
 * Reads a JPEG's markers to its end, so that no second frame or endless row of scans gets by.
 *
 * @throws {PipelineError} `corrupt_image`, or `unsupported_image` for a coding the codec lacks.
 * @throws {RangeError} When the file ends inside its frame header.
 */
export function readJpegHeader(bytes: Uint8Array): StoredHeader {
  let frame: { width: number; height: number; components: number } | undefined;
  let orientation: number | undefined;
  let adobe = false;
  let scans = 0;
  for (const { marker, body } of segments(bytes)) {
    if (isFrame(marker)) {
      if (frame !== undefined) throw corrupt("it has more than one frame");
      frame = readFrame(body, marker);
    } else if (marker === 0xda && ++scans > MAX_SCANS) {
      throw unsupported(`more than ${MAX_SCANS} scans`);
    } else if (marker === 0xe1 && hasMagic(body, 0, "Exif\0\0")) {
      orientation ??= exifOrientation(body.subarray(6));
    } else if (marker === 0xee && hasMagic(body, 0, "Adobe")) {
      adobe = true;
    }
  }
  if (frame === undefined) throw corrupt("it has no frame header");
  const { width, height, components } = frame;
  if (components === 4 && !adobe) {
    throw unsupported("CMYK without an Adobe marker");
  }
  return { width, height, orientation: orientation ?? 1 };
}

/** Every marker segment up to the end of the image, as far as the file goes. */
function* segments(
  bytes: Uint8Array,
): Generator<{ marker: number; body: Uint8Array }> {
  let offset = bytes.indexOf(0xff, 2);
  while (offset >= 0 && offset + 4 <= bytes.length) {
    const marker = bytes[offset + 1]!;
    if (marker === 0xd9) return;
    if (marker === 0xff) {
      offset++;
    } else if (marker < 0xc0 || (marker >= 0xd0 && marker <= 0xd8)) {
      offset = bytes.indexOf(0xff, offset + 2);
    } else {
      const end = offset + 2 + (bytes[offset + 2]! << 8 | bytes[offset + 3]!);
      yield { marker, body: bytes.subarray(offset + 4, end) };
      offset = bytes.indexOf(0xff, end);
    }
  }
}

/** SOF0 to SOF15, which share their range with DHT, JPG and DAC. */
function isFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 &&
    marker !== 0xc8 &&
    marker !== 0xcc;
}

function readFrame(
  body: Uint8Array,
  marker: number,
): { width: number; height: number; components: number } {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const precision = view.getUint8(0);
  const height = view.getUint16(1);
  const width = view.getUint16(3);
  const components = view.getUint8(5);
  if (marker === 0xc3) throw unsupported("lossless coding");
  if (marker >= 0xc9) throw unsupported("arithmetic coding");
  if (marker > 0xc2) throw unsupported("hierarchical coding");
  if (precision !== 8) throw unsupported(`${precision} bits a sample`);
  if (components !== 1 && components !== 3 && components !== 4) {
    throw unsupported(`${components} components`);
  }
  if (height === 0) throw corrupt("its frame header gives no height");
  return { width, height, components };
}

function corrupt(reason: string): PipelineError {
  return new PipelineError("corrupt_image", `Cannot read JPEG: ${reason}`);
}

function unsupported(coding: string): PipelineError {
  return new PipelineError(
    "unsupported_image",
    `Cannot read JPEG: it uses ${coding}; save it as a baseline or progressive 8-bit JPEG`,
  );
}
