import { fixture } from "../testdata/pictures.ts";
import { chunk, deflatedZeros, join, u16, u32, u32le } from "./bytes.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** A small file that asks for much work, and the statuses it may get. */
export interface Bomb {
  bytes: Bytes;
  statuses: readonly number[];
}

/** As many pixels as the server allows. */
const [WIDTH, HEIGHT] = [6000, 4000];
const MB = 1 << 20;
/** A valid picture is answered, or given up at the deadline. */
const VALID = [200, 504];
const ANY = [200, 413, 415, 422, 504];

function ihdr(width: number, height: number, depth: number, color: number) {
  return chunk("IHDR", u32(width), u32(height), [depth, color, 0, 0, 0]);
}

function png(...chunks: Uint8Array[]): Bytes {
  return join("\x89PNG\r\n\x1a\n", ...chunks, chunk("IEND"));
}

/** A whole picture of zeros. */
async function blankPng(
  depth: number,
  color: number,
  bitsPerPixel: number,
): Promise<Bytes> {
  const row = 1 + Math.ceil(WIDTH * bitsPerPixel / 8);
  return png(
    ihdr(WIDTH, HEIGHT, depth, color),
    chunk("IDAT", await deflatedZeros(row * HEIGHT)),
  );
}

/** A small picture with a chunk before its pixels. */
async function smallPng(...before: Uint8Array[]): Promise<Bytes> {
  const pixels = await deflatedZeros(65 * 64);
  return png(ihdr(64, 64, 8, 0), ...before, chunk("IDAT", pixels));
}

/** The largest JPEG allowed: every block empty, six bits each, in the standard Huffman tables. */
function blankJpeg(): Bytes {
  const bytes = fixture("gray.jpg");
  const frame = marker(bytes, 0xc0), scan = marker(bytes, 0xda);
  bytes.set([...u16(HEIGHT), ...u16(WIDTH)], frame + 5);
  const head = bytes.slice(0, scan + 2 + bytes[scan + 3]!);
  const blocks = Math.ceil(WIDTH / 8) * Math.ceil(HEIGHT / 8);
  const pattern = [0b00101000, 0b10100010, 0b10001010];
  const data = Uint8Array.from(
    { length: Math.ceil(blocks * 6 / 8) },
    (_, i) => pattern[i % 3]!,
  );
  return join(head, data, [0xff, 0xd9]);
}

/** A progressive JPEG grown to the limit, its last scan repeated. */
function manyScans(scans: number): Bytes {
  const bytes = fixture("progressive.jpg");
  bytes.set([...u16(HEIGHT), ...u16(WIDTH)], marker(bytes, 0xc2) + 5);
  let last = marker(bytes, 0xda), had = 1;
  for (let at; (at = marker(bytes, 0xda, last + 2)) > 0; had++) last = at;
  const scan = bytes.slice(last, -2);
  const more = Array.from({ length: Math.max(0, scans - had) }, () => scan);
  return join(bytes.slice(0, -2), ...more, [0xff, 0xd9]);
}

/** A lossless WebP of one colour: every pixel costs no bit at all. */
function blankWebp(): Bytes {
  const bits: number[] = [];
  const put = (value: number, count: number) => {
    for (let i = 0; i < count; i++) bits.push(value >> i & 1);
  };
  put(WIDTH - 1, 14);
  put(HEIGHT - 1, 14);
  put(0, 1 + 3 + 3);
  for (let code = 0; code < 5; code++) put(1, 4);
  const body = new Uint8Array(Math.ceil(bits.length / 8) + 8);
  bits.forEach((bit, i) => body[i >> 3]! |= bit << (i & 7));
  const data = join([0x2f], body);
  const odd = data.length % 2 ? [0] : [];
  return join(
    "RIFF",
    u32le(12 + data.length + odd.length),
    "WEBPVP8L",
    u32le(data.length),
    data,
    odd,
  );
}

/** A lossy WebP that claims the largest frame. */
function grownWebp(): Bytes {
  const bytes = fixture("lossy.webp");
  const low = (value: number) => u16(value).reverse();
  const at = bytes.findIndex((_, i) =>
    bytes[i] === 0x9d && bytes[i + 1] === 0x01 && bytes[i + 2] === 0x2a
  );
  bytes.set([...low(WIDTH), ...low(HEIGHT)], at + 3);
  return bytes;
}

const MAKERS: Record<string, () => Promise<Bomb> | Bomb> = {
  "a PNG of 24 million gray pixels": async () => ({
    bytes: await blankPng(8, 0, 8),
    statuses: VALID,
  }),
  "a PNG of 24 million bits": async () => ({
    bytes: await blankPng(1, 0, 1),
    statuses: VALID,
  }),
  "a PNG of 24 million 64-bit pixels": async () => ({
    bytes: await blankPng(16, 6, 64),
    statuses: VALID,
  }),
  "a PNG whose pixels unpack to 512 MB": async () => ({
    bytes: png(
      ihdr(64, 64, 8, 0),
      chunk("IDAT", await deflatedZeros(512 * MB)),
    ),
    statuses: ANY,
  }),
  "a PNG whose colour profile unpacks to 256 MB": async () => ({
    bytes: await smallPng(
      chunk("iCCP", "name\0\0", await deflatedZeros(256 * MB)),
    ),
    statuses: ANY,
  }),
  "a PNG whose text unpacks to 256 MB": async () => ({
    bytes: await smallPng(
      chunk("zTXt", "key\0\0", await deflatedZeros(256 * MB)),
    ),
    statuses: ANY,
  }),
  "a PNG of 100,000 empty chunks": async () => ({
    bytes: await smallPng(
      join(...Array.from({ length: 100_000 }, () => chunk("tEXt"))),
    ),
    statuses: ANY,
  }),
  "a JPEG of 24 million pixels": () => ({
    bytes: blankJpeg(),
    statuses: VALID,
  }),
  "a JPEG of 24 million pixels in 32 scans": () => ({
    bytes: manyScans(32),
    statuses: ANY,
  }),
  "a JPEG of 1,000 scans": () => ({ bytes: manyScans(1000), statuses: [415] }),
  "a WebP of 24 million pixels in 40 bytes": () => ({
    bytes: blankWebp(),
    statuses: VALID,
  }),
  "a WebP that claims 24 million pixels": () => ({
    bytes: grownWebp(),
    statuses: ANY,
  }),
};

/** Every kind of bomb. */
export const BOMBS: readonly string[] = Object.keys(MAKERS);

const made = new Map<string, Promise<Bomb>>();

/** A bomb by name, made once. */
export function bomb(name: string): Promise<Bomb> {
  const known = made.get(name) ?? Promise.resolve(MAKERS[name]!());
  made.set(name, known);
  return known;
}

/** Where a JPEG marker stands, or -1. */
function marker(bytes: Bytes, code: number, from = 0): number {
  return bytes.findIndex((byte, i) =>
    i >= from && byte === 0xff && bytes[i + 1] === code
  );
}
