import type { RawImage } from "./image.ts";

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
const COLOR_TYPE = { 1: 0, 3: 2, 4: 6 } as const;
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) {
    value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  }
  return value;
});

/** The CRC-32 of PNG and zlib: reflected, polynomial 0xEDB88320. */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 255]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** Encodes 8-bit gray, RGB or RGBA as a PNG. The same picture always gives the same pixels back. */
export async function encodePng(
  image: RawImage,
): Promise<Uint8Array<ArrayBuffer>> {
  const { data, width, height, channels } = image;
  if (!isSide(width) || !isSide(height)) {
    throw new RangeError(
      `Cannot encode PNG: size is ${width}x${height}, expected whole sides from 1`,
    );
  }
  if (data.length !== width * height * channels) {
    throw new RangeError(
      `Cannot encode PNG: data holds ${data.length} samples, expected ${
        width * height * channels
      }`,
    );
  }
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header[8] = 8;
  header[9] = COLOR_TYPE[channels];
  return concat([
    SIGNATURE,
    chunk("IHDR", header),
    chunk("IDAT", await deflate(filterRows(image))),
    chunk("IEND", new Uint8Array(0)),
  ]);
}

function isSide(value: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= 0x7fffffff;
}

/** Each row as Sub or Up differences, whichever is smaller in sum, behind its filter byte. */
function filterRows(
  { data, width, height, channels }: RawImage,
): Uint8Array<ArrayBuffer> {
  const stride = width * channels;
  const out = new Uint8Array(height * (stride + 1));
  const sub = new Uint8Array(stride);
  const up = new Uint8Array(stride);
  for (let row = 0; row < height; row++) {
    const start = row * stride;
    let subCost = 0;
    let upCost = 0;
    for (let i = 0; i < stride; i++) {
      const value = data[start + i]!;
      const left = i < channels ? 0 : data[start + i - channels]!;
      const above = row === 0 ? 0 : data[start + i - stride]!;
      sub[i] = value - left;
      up[i] = value - above;
      subCost += magnitude(sub[i]!);
      upCost += magnitude(up[i]!);
    }
    const at = row * (stride + 1);
    out[at] = upCost < subCost ? 2 : 1;
    out.set(upCost < subCost ? up : sub, at + 1);
  }
  return out;
}

/** The size of a difference that wrapped around 256. */
function magnitude(byte: number): number {
  return byte < 128 ? byte : 256 - byte;
}

async function deflate(
  bytes: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([bytes]).stream().pipeThrough(
    new CompressionStream("deflate"),
  );
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function chunk(type: string, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(body.length + 12);
  const view = new DataView(out.buffer);
  view.setUint32(0, body.length);
  for (let i = 0; i < 4; i++) out[4 + i] = type.charCodeAt(i);
  out.set(body, 8);
  view.setUint32(body.length + 8, crc32(out.subarray(4, body.length + 8)));
  return out;
}

function concat(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
