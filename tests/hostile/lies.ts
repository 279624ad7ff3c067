import { encodePng } from "../../src/pipeline/png.ts";
import { fixture } from "../testdata/pictures.ts";
import { chunk, join, segment, u16, u32, u32le } from "./bytes.ts";
import type { Random } from "./random.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** A file that is not what it says, and the statuses it may get. */
export interface Lie {
  name: string;
  bytes: Bytes;
  statuses: readonly number[];
}

const PHOTO = fixture("color_420.jpg");
const REFUSED = [413, 415, 422];
const ANY = [200, ...REFUSED];

/** Sides around every limit there is. */
const SIDES = [0, 1, 31, 32, 33, 4000, 12_000, 12_001, 16_383, 65_500, 65_535];

function tiff(...parts: number[][]): Bytes {
  return join("Exif\0\0", ...parts);
}

/** EXIF blocks whose offsets and counts lead nowhere. */
const EXIF: Bytes[] = [
  tiff(),
  tiff([0x49, 0x49]),
  tiff([0x4d, 0x4d, 0, 42], u32(0xffffffff)),
  tiff([0x4d, 0x4d, 0, 42], u32(8), u16(0xffff)),
  tiff(
    [0x4d, 0x4d, 0, 42],
    u32(8),
    u16(1),
    u16(0x112),
    u16(3),
    u32(1),
    u16(99),
  ),
  tiff([0x4d, 0x4d, 0, 42], u32(4), u16(0x112), u16(3)),
];

/** Bytes other programs would take for something else. */
const OTHER = {
  script: "<html><script>alert(1)</script>",
  archive: "PK\x03\x04" + "\0".repeat(26) + "PK\x05\x06" + "\0".repeat(18),
  document: "%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj",
  shell: "#!/bin/sh\nreboot\n",
  program: "\x7fELF\x02\x01\x01",
};

const MAKERS: ((random: Random) => Lie | Promise<Lie>)[] = [
  function pngOfAnotherSize(random) {
    const bytes = fixture("rgba.png"), width = side(random);
    const header = chunk(
      "IHDR",
      u32(width),
      u32(side(random)),
      bytes.slice(24, 29),
    );
    bytes.set(header, 8);
    return { name: "a PNG of another size", bytes, statuses: ANY };
  },
  function pngOfAnotherKind(random) {
    const bytes = fixture("rgba.png");
    const kind = [random.int(0, 17), random.int(0, 7), 0, 0, random.int(0, 2)];
    bytes.set(chunk("IHDR", bytes.slice(16, 24), kind), 8);
    return { name: "a PNG of another depth and colour", bytes, statuses: ANY };
  },
  function pngChunks(random) {
    const bytes = fixture("rgba.png");
    const length = random.pick([0x7fffffff, 0x80000000, 0xffffffff, 1e6]);
    const stray = join(u32(length), random.pick(["tEXt", "eXIf", "IDAT"]));
    const lie = join(bytes.slice(0, 33), stray, bytes.slice(33));
    return { name: "a PNG chunk without end", bytes: lie, statuses: ANY };
  },
  function jpegOfAnotherSize(random) {
    const bytes = PHOTO.slice();
    bytes.set([...u16(side(random)), ...u16(side(random))], frameAt(bytes) + 5);
    return { name: "a JPEG of another size", bytes, statuses: ANY };
  },
  function jpegTables(random) {
    const bytes = PHOTO.slice(), at = frameAt(bytes);
    bytes[at + random.int(9, 18)] = random.int(0, 255);
    return { name: "a JPEG frame of nonsense", bytes, statuses: ANY };
  },
  function jpegSegments(random) {
    const many = Array.from(
      { length: random.int(1, 5000) },
      () => segment(random.pick([0xe2, 0xfe, 0xdd]), [0, 0]),
    );
    const short = [0xff, 0xe5, 0, random.int(0, 1)];
    const fill = new Uint8Array(random.int(1, 100_000)).fill(0xff);
    const stuff = random.pick([join(...many), join(short), fill]);
    return { name: "a JPEG of odd segments", ...inJpeg(stuff), statuses: ANY };
  },
  function exif(random) {
    const block = segment(0xe1, random.pick(EXIF));
    return { name: "EXIF that leads nowhere", ...inJpeg(block), statuses: ANY };
  },
  function webpOfAnotherSize(random) {
    const name = random.pick(["lossy.webp", "lossless.webp", "alpha.webp"]);
    const bytes = fixture(name);
    const at = random.int(20, 30);
    bytes.set(random.bytes(random.int(1, 4)), at);
    return { name: "a WebP of another size", bytes, statuses: ANY };
  },
  function webpLengths(random) {
    const bytes = fixture(random.pick(["lossy.webp", "alpha.webp"]));
    const length = u32le(random.pick([0, 1, 0x7fffffff, 0xffffffff]));
    bytes.set(length, random.pick([4, 16]));
    return { name: "a WebP of another length", bytes, statuses: ANY };
  },
  async function tiny(random) {
    const [width, height] = [random.int(1, 31), random.int(1, 64)];
    return {
      name: "a tiny PNG",
      bytes: await blank(width, height),
      statuses: [422],
    };
  },
  async function atTheLimit(random) {
    const long = random.pick([12_000, 12_001]);
    const sides: [number, number] = random.chance(0.5)
      ? [long, 32]
      : [32, long];
    const statuses = long > 12_000 ? [413] : [200];
    return {
      name: `a strip of ${long} px`,
      bytes: await blank(...sides),
      statuses,
    };
  },
  function polyglot(random) {
    const name = random.pick(Object.keys(OTHER)) as keyof typeof OTHER;
    const before = random.chance(0.5);
    const bytes = before ? join(OTHER[name], PHOTO) : join(PHOTO, OTHER[name]);
    return {
      name: `a picture ${before ? "behind" : "before"} a ${name}`,
      bytes,
      statuses: before ? [415] : [200],
    };
  },
  function hidden(random) {
    const text = OTHER[random.pick(Object.keys(OTHER)) as keyof typeof OTHER];
    const bytes = inJpeg(segment(0xfe, text)).bytes;
    return {
      name: "a JPEG with a file in its comment",
      bytes,
      statuses: [200],
    };
  },
  function twoFormats(random) {
    const first = random.pick(["gray.jpg", "rgba.png", "lossy.webp"]);
    const second = random.pick(["gray.jpg", "rgba.png", "lossy.webp"]);
    const bytes = join(fixture(first), fixture(second));
    return { name: "two pictures in one file", bytes, statuses: ANY };
  },
  function wrongMagic(random) {
    const magic = random.pick([
      "GIF89a",
      "\xff\xd8\xff",
      "\x89PNG\r\n\x1a\n",
      "RIFF\xff\xff\xff\xffWEBP",
      "BM",
      "",
    ]);
    const bytes = join(magic, random.bytes(random.int(1, 4000)));
    return { name: "noise behind a signature", bytes, statuses: REFUSED };
  },
];

/** A file that claims to be what it is not. */
export async function lie(random: Random): Promise<Lie> {
  return await random.pick(MAKERS)(random);
}

function side(random: Random): number {
  return random.chance(0.7) ? random.pick(SIDES) : random.int(0, 0xffff);
}

/** Where a JPEG's baseline frame header begins. */
function frameAt(bytes: Bytes): number {
  return bytes.findIndex((byte, i) => byte === 0xff && bytes[i + 1] === 0xc0);
}

function inJpeg(stuff: Uint8Array): { bytes: Bytes } {
  return { bytes: join(PHOTO.slice(0, 2), stuff, PHOTO.slice(2)) };
}

async function blank(width: number, height: number): Promise<Bytes> {
  const data = new Uint8Array(width * height);
  return await encodePng({ data, width, height, channels: 1 });
}
