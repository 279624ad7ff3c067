import { crc32 } from "../../src/pipeline/png.ts";

/** Parts of a file: numbers are bytes, text is Latin-1. */
export type Part = readonly number[] | Uint8Array | string;

/** Parts one after the other. */
export function join(...parts: readonly Part[]): Uint8Array<ArrayBuffer> {
  const list = parts.map((part) =>
    typeof part === "string"
      ? Uint8Array.from(part, (letter) => letter.charCodeAt(0))
      : Uint8Array.from(part)
  );
  const out = new Uint8Array(list.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of list) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Two bytes, most significant first. */
export function u16(value: number): number[] {
  return [value >> 8 & 255, value & 255];
}

/** Four bytes, most significant first. */
export function u32(value: number): number[] {
  return [...u16(value >>> 16), ...u16(value)];
}

/** Four bytes, least significant first. */
export function u32le(value: number): number[] {
  return u32(value).reverse();
}

/** A PNG chunk with a true checksum. */
export function chunk(type: string, ...body: Part[]): Uint8Array<ArrayBuffer> {
  const data = join(type, ...body);
  return join(u32(data.length - 4), data, u32(crc32(data)));
}

/** A JPEG marker segment. */
export function segment(marker: number, ...body: Part[]): Uint8Array {
  const data = join(...body);
  return join([0xff, marker], u16(data.length + 2), data);
}

/** `times` zero bytes as a zlib stream, made without holding them. */
export async function deflatedZeros(times: number): Promise<Uint8Array> {
  const block = new Uint8Array(1 << 20);
  let left = times;
  const zeros = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      if (left <= 0) return controller.close();
      controller.enqueue(block.subarray(0, Math.min(left, block.length)));
      left -= block.length;
    },
  });
  const packed = zeros.pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(packed).arrayBuffer());
}
