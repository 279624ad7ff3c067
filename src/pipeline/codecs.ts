import { readUrl } from "./read_url.ts";

/** The codecs there are. */
export type CodecName = "jpeg" | "png" | "webp";

/** Gives a codec's compiled module; asked whenever a picture of its kind is decoded. */
export type LoadCodec = (name: CodecName) => Promise<WebAssembly.Module>;

/** One literal each: this is how bundlers know that the files belong to the code. */
const FILES: Record<CodecName, () => URL> = {
  jpeg: () => new URL("./codecs/jpeg.bin", import.meta.url),
  png: () => new URL("./codecs/png.bin", import.meta.url),
  webp: () => new URL("./codecs/webp.bin", import.meta.url),
};

const compiled = new Map<CodecName, Promise<WebAssembly.Module>>();

/** The codecs beside this file, each compiled once; a failure is tried again. */
export function loadCodec(name: CodecName): Promise<WebAssembly.Module> {
  const known = compiled.get(name);
  if (known) return known;
  const module = readUrl(FILES[name]()).then((bytes) =>
    WebAssembly.compile(bytes)
  );
  compiled.set(name, module);
  module.catch(() => compiled.delete(name));
  return module;
}

/** What the JPEG codec gives: 0 gray, 1 RGB, 2 CMYK, inverted as Adobe stores it. */
export interface JpegPixels {
  buffer: Uint8Array;
  width: number;
  height: number;
  format: 0 | 1 | 2;
}

/** The functions of `jpeg.wasm`; all numbers are addresses, lengths or sizes. */
interface JpegExports {
  memory: WebAssembly.Memory;
  walloc(size: number): number;
  wlen(): number;
  decode(at: number, length: number, width: number, height: number): number;
  decode_width(image: number): number;
  decode_height(image: number): number;
  decode_format(image: number): 0 | 1 | 2;
  decode_buffer(image: number): number;
}

/**
 * Decodes a JPEG at the smallest of 1/8, 1/4, 1/2 and 1 that reaches the size. Every call has its
 * own instance: after a failure a used one may hang or trap.
 *
 * @throws {Error} when the data is broken
 */
export function decodeJpeg(
  module: WebAssembly.Module,
  bytes: Uint8Array,
  size: { width: number; height: number },
): JpegPixels {
  const instance = new WebAssembly.Instance(module);
  const wasm = instance.exports as unknown as JpegExports;
  const at = wasm.walloc(bytes.length);
  new Uint8Array(wasm.memory.buffer).set(bytes, at);
  const image = wasm.decode(at, bytes.length, size.width, size.height);
  if (image < 2) throw new Error("jpeg.wasm cannot decode this");
  const start = wasm.decode_buffer(image), length = wasm.wlen();
  return {
    buffer: new Uint8Array(wasm.memory.buffer, start, length).slice(),
    width: wasm.decode_width(image),
    height: wasm.decode_height(image),
    format: wasm.decode_format(image),
  };
}

/** The functions of `png.wasm`. */
interface PngExports {
  memory: WebAssembly.Memory;
  walloc(size: number): number;
  decode(at: number, length: number): number;
  width(): number;
  height(): number;
}

/** Decodes a PNG to RGBA, in an instance of its own. @throws {Error} when the data is broken */
export function decodePng(
  module: WebAssembly.Module,
  bytes: Uint8Array,
): { buffer: Uint8Array; width: number; height: number } {
  const env = { emscripten_notify_memory_growth() {} };
  const instance = new WebAssembly.Instance(module, { env });
  const wasm = instance.exports as unknown as PngExports;
  const at = wasm.walloc(bytes.length);
  new Uint8Array(wasm.memory.buffer).set(bytes, at);
  const start = wasm.decode(at, bytes.length);
  if (start < 0) throw new Error(`png.wasm cannot decode this: ${start}`);
  const width = wasm.width(), height = wasm.height();
  const rgba = new Uint8Array(wasm.memory.buffer, start, 4 * width * height);
  return { buffer: rgba.slice(), width, height };
}

/** What the package's own types leave out: a compiled module, a view as input. */
interface WebpCodec {
  init(module: WebAssembly.Module): Promise<void>;
  default(
    bytes: Uint8Array,
  ): Promise<{ data: Uint8ClampedArray; width: number; height: number }>;
}

/** Opens the WebP codec: what it gives decodes one picture to RGBA. */
export async function openWebp(
  module: WebAssembly.Module,
): Promise<WebpCodec["default"]> {
  const webp: unknown = await import("@jsquash/webp/decode.js");
  const { default: decode, init } = webp as WebpCodec;
  return (bytes) => {
    init(module);
    return decode(bytes);
  };
}
