import assert from "node:assert/strict";
import { PipelineError } from "../../src/pipeline/error.ts";
import { readHeader } from "../../src/pipeline/header.ts";
import type { ErrorCode } from "../../src/types.ts";
import { fixture, fixtureNames, LIMITS } from "../testdata/pictures.ts";

const latin1 = (text: string): Uint8Array =>
  Uint8Array.from(text, (letter) => letter.charCodeAt(0));
const u16 = (value: number): number[] => [value >> 8 & 255, value & 255];
const u32 = (value: number): number[] => [...u16(value >>> 16), ...u16(value)];
const join = (...parts: (number[] | Uint8Array | string)[]): Uint8Array =>
  Uint8Array.from(
    parts.flatMap((
      part,
    ) => [...(typeof part === "string" ? latin1(part) : part)]),
  );

function segment(
  marker: number,
  ...parts: (number[] | Uint8Array | string)[]
): Uint8Array {
  const body = join(...parts);
  return join([0xff, marker], u16(body.length + 2), body);
}

/** A frame header; the size comes first, what is unusual after it. */
function frame(
  width: number,
  height: number,
  marker = 0xc0,
  components = 3,
  precision = 8,
) {
  const table = new Uint8Array(components * 3);
  return segment(
    marker,
    [precision],
    u16(height),
    u16(width),
    [components],
    table,
  );
}

/** A JPEG without pixels. */
function jpeg(...segments: Uint8Array[]): Uint8Array {
  return join([0xff, 0xd8], ...segments, segment(0xda, [0]), [
    1,
    2,
    3,
    0xff,
    0xd9,
  ]);
}

function png(width: number, height: number): Uint8Array {
  return join("\x89PNG\r\n\x1a\n", u32(13), "IHDR", u32(width), u32(height), [
    8,
    2,
    0,
    0,
    0,
  ]);
}

function exif(...parts: (number[] | string)[]): Uint8Array {
  return segment(0xe1, "Exif\0\0", ...parts);
}

/** A big-endian directory of one entry. */
function directory(tag: number, type: number, value: number): number[] {
  return [...u16(1), ...u16(tag), ...u16(type), ...u32(1), ...u16(value), 0, 0];
}

function fails(bytes: Uint8Array, code: ErrorCode, message: RegExp): void {
  assert.throws(() => readHeader(bytes, LIMITS), (error) => {
    assert.ok(error instanceof PipelineError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  });
}

for (const name of fixtureNames()) {
  if (name === "animated.webp" || name === "cmyk_plain.jpg") continue;
  Deno.test(`readHeader() reads ${name}`, () => {
    const orientation = Number(name.match(/orientation_(\d)/)?.[1] ?? 1);
    const upright = name === "large.jpg"
      ? { width: 200, height: 120 }
      : { width: 47, height: 33 };
    const [width, height] = orientation >= 5
      ? [upright.height, upright.width]
      : [upright.width, upright.height];
    const type = `image/${name.split(".")[1]}`.replace("jpg", "jpeg");
    assert.deepEqual(readHeader(fixture(name), LIMITS), {
      type,
      width,
      height,
      orientation,
      upright,
    });
  });
}

Deno.test("readHeader() reads the photographs", () => {
  const size = (name: string) => readHeader(fixture(name), LIMITS).upright;
  assert.deepEqual(size("astronaut.jpg"), { width: 512, height: 512 });
  assert.deepEqual(size("coffee.jpg"), { width: 400, height: 267 });
});

const OTHERS: [name: string, bytes: Uint8Array][] = [
  ["GIF", latin1("GIF89a")],
  ["BMP", latin1("BM\0\0")],
  ["TIFF", latin1("II*\0")],
  ["TIFF", latin1("MM\0*")],
  ["AVIF", latin1("\0\0\0\x1cftypavif")],
  ["HEIC", latin1("\0\0\0\x18ftypheic")],
  ["HEIC", latin1("\0\0\0\x18ftypmif1")],
  ["video", latin1("\0\0\0\x18ftypisom")],
  ["JPEG XL", latin1("\xff\x0a\0\0")],
  ["JPEG XL", latin1("\0\0\0\x0cJXL \r\n")],
  ["JPEG 2000", latin1("\0\0\0\x0cjP  \r\n")],
  ["PDF", latin1("%PDF-1.7")],
  ["SVG", latin1("<svg xmlns")],
];
for (const [name, bytes] of OTHERS) {
  const [brand] = String.fromCharCode(...bytes).match(/[\w <%*]{2,}/) ??
    ["signature"];
  Deno.test(`readHeader() names ${name} by "${brand}" and what to send instead`, () => {
    fails(
      bytes,
      "unsupported_image",
      new RegExp(`it is ${name}; send a JPEG, PNG or WebP$`),
    );
  });
}

Deno.test("readHeader() refuses unknown bytes and none", () => {
  fails(
    latin1("hello, world"),
    "unsupported_image",
    /format is unknown; send a JPEG, PNG or WebP/,
  );
  fails(latin1("RIFF\0\0\0\0WAVE"), "unsupported_image", /format is unknown/);
  fails(new Uint8Array(), "unsupported_image", /it is empty/);
});

Deno.test("readHeader() refuses an animated WebP and says what to send", () => {
  fails(
    fixture("animated.webp"),
    "unsupported_image",
    /animated WebP; send a single picture/,
  );
});

const CODINGS: [what: RegExp, bytes: Uint8Array][] = [
  [/lossless/, jpeg(frame(64, 64, 0xc3))],
  [/hierarchical/, jpeg(frame(64, 64, 0xc5))],
  [/arithmetic/, jpeg(frame(64, 64, 0xc9))],
  [/arithmetic/, jpeg(frame(64, 64, 0xca))],
  [/12 bits/, jpeg(frame(64, 64, 0xc1, 3, 12))],
  [/2 components/, jpeg(frame(64, 64, 0xc0, 2))],
  [/CMYK without an Adobe marker/, fixture("cmyk_plain.jpg")],
];
for (const [what, bytes] of CODINGS) {
  Deno.test(`readHeader() refuses a JPEG the codec lacks: ${what.source}`, () => {
    fails(bytes, "unsupported_image", what);
  });
}

Deno.test("readHeader() allows 32 scans and refuses more", () => {
  const scans = (count: number) =>
    jpeg(
      frame(64, 64, 0xc2),
      ...Array.from({ length: count - 1 }, () => segment(0xda, [0])),
    );
  assert.equal(readHeader(scans(32), LIMITS).width, 64);
  fails(scans(33), "unsupported_image", /more than 32 scans/);
});

const CORRUPT: [what: string, bytes: Uint8Array, message: RegExp][] = [
  ["a JPEG that is only a start", latin1("\xff\xd8\xff"), /no frame header/],
  ["a JPEG without a frame", jpeg(), /no frame header/],
  [
    "a JPEG whose frame is cut",
    join([0xff, 0xd8], frame(64, 64).subarray(0, 7)),
    /ends inside/,
  ],
  ["a JPEG cut in a segment", latin1("\xff\xd8\xff\xe0\0"), /no frame header/],
  [
    "a JPEG frame shorter than its fields",
    jpeg(segment(0xc0, [8, 0, 64])),
    /ends inside/,
  ],
  ["a JPEG whose height is left to DNL", jpeg(frame(64, 0)), /gives no height/],
  ["a JPEG of no width", jpeg(frame(0, 64)), /0x64 pixels/],
  [
    "a JPEG of two frames",
    jpeg(frame(64, 64), frame(6000, 6000)),
    /more than one frame/,
  ],
  [
    "a JPEG that ends before its frame",
    latin1("\xff\xd8\xff\xd9"),
    /no frame header/,
  ],
  ["a PNG cut in its header", png(64, 64).subarray(0, 22), /ends inside/],
  [
    "a PNG without IHDR",
    latin1("\x89PNG\r\n\x1a\n" + "\0".repeat(20)),
    /PNG header/,
  ],
  ["a PNG of no height", png(64, 0), /64x0 pixels/],
  [
    "a WebP cut in its header",
    fixture("lossy.webp").subarray(0, 27),
    /ends inside/,
  ],
  ["a WebP of unknown layout", latin1("RIFF\0\0\0\0WEBPVP9 "), /WebP header/],
  [
    "a lossy WebP without a key frame",
    fixture("lossy.webp").fill(0, 23, 26),
    /key frame/,
  ],
  [
    "a lossless WebP without signature",
    fixture("lossless.webp").fill(0, 20, 21),
    /signature/,
  ],
];
for (const [what, bytes, message] of CORRUPT) {
  Deno.test(`readHeader() calls ${what} corrupt`, () =>
    fails(bytes, "corrupt_image", message));
}

Deno.test("readHeader() allows the limits themselves and refuses one pixel more", () => {
  assert.equal(readHeader(png(12_000, 2000), LIMITS).width, 12_000);
  assert.equal(readHeader(jpeg(frame(32, 12_000)), LIMITS).height, 12_000);
  fails(
    jpeg(frame(12_001, 32)),
    "image_too_large",
    /12001x32 pixels; at most 12000 a side/,
  );
  fails(
    png(32, 12_001),
    "image_too_large",
    /32x12001 pixels; at most 12000 a side/,
  );
  fails(
    png(6001, 4000),
    "image_too_large",
    /6001x4000 pixels; at most 24000000 in all/,
  );
  fails(png(31, 64), "image_too_small", /31x64 pixels; at least 32 a side/);
  fails(
    jpeg(frame(64, 1)),
    "image_too_small",
    /64x1 pixels; at least 32 a side/,
  );
});

Deno.test("readHeader() refuses bombs of any format from the header alone", () => {
  fails(jpeg(frame(65_500, 65_500)), "image_too_large", /65500x65500/);
  fails(
    png(0xffffffff, 0xffffffff),
    "image_too_large",
    /4294967295x4294967295/,
  );
  const webp = join(
    "RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0",
    new Uint8Array(6).fill(255),
  );
  fails(webp, "image_too_large", /16777216x16777216/);
  const bomb = fixture("color_444.jpg");
  const at = bomb.findIndex((byte, i) => byte === 0xff && bomb[i + 1] === 0xc0);
  bomb.set([0xff, 0xdc, 0xff, 0xdc], at + 5);
  fails(bomb, "image_too_large", /65500x65500/);
});

Deno.test("readHeader() reads the plain WebP layouts to their largest size", () => {
  const free = { maxPixels: 1e9, maxSide: 20_000, minSide: 1 };
  const lossless = fixture("lossless.webp").fill(0xff, 21, 25);
  const { width, height } = readHeader(lossless, free);
  assert.deepEqual([width, height], [16_384, 16_384]);
  const lossy = fixture("lossy.webp").fill(0xff, 26, 30);
  assert.equal(readHeader(lossy, free).width, 16_383);
});

Deno.test("readHeader() passes fill bytes, stray bytes and markers without length", () => {
  const bytes = join(
    [0xff, 0xd8],
    [0xff, 0xff, 0xff, 0x01],
    [7, 7],
    frame(64, 48),
    [0xff, 0xd0],
  );
  assert.equal(readHeader(bytes, LIMITS).height, 48);
});

Deno.test("readHeader() passes any number of fill bytes before a marker", () => {
  for (let count = 0; count < 4; count++) {
    const fill = new Uint8Array(count).fill(0xff);
    assert.equal(
      readHeader(
        join([0xff, 0xd8], fill, jpeg(frame(64, 48)).subarray(2)),
        LIMITS,
      ).height,
      48,
    );
  }
});

Deno.test("readHeader() stops at the end of the image, before what a camera appends", () => {
  const appended = join(jpeg(frame(64, 48)), [0, 2], jpeg(frame(6000, 6000)));
  assert.equal(readHeader(appended, LIMITS).width, 64);
});

Deno.test("readHeader() passes a WebP's chunk of odd length to its EXIF", () => {
  const bytes = fixture("orientation_8.webp");
  const odd = join("ODD ", [3, 0, 0, 0], "abc\0");
  const longer = join(bytes.subarray(0, 30), odd, bytes.subarray(30));
  assert.equal(readHeader(longer, LIMITS).orientation, 8);
});

Deno.test("readHeader() is not misled by a thumbnail inside EXIF", () => {
  const thumbnail = exif(
    "MM",
    u16(42),
    u32(8),
    u16(0),
    [...jpeg(frame(160, 120))] as number[],
  );
  assert.equal(readHeader(jpeg(thumbnail, frame(64, 48)), LIMITS).width, 64);
});

const HOSTILE: [what: string, block: (number[] | string)[]][] = [
  ["is empty", []],
  ["has no byte order", ["XX", u16(42), u32(8), directory(0x0112, 3, 6)]],
  ["points outside", ["MM", u16(42), u32(0xffffffff)]],
  ["points at its end", ["MM", u16(42), u32(26), directory(0x0112, 3, 6)]],
  ["promises 65535 entries", ["MM", u16(42), u32(8), u16(0xffff), [
    1,
    0,
    0,
    0,
  ]]],
  ["says orientation 0", ["MM", u16(42), u32(8), directory(0x0112, 3, 0)]],
  ["says orientation 9", ["MM", u16(42), u32(8), directory(0x0112, 3, 9)]],
  ["says it in text", ["MM", u16(42), u32(8), directory(0x0112, 2, 6)]],
  ["says something else", ["MM", u16(42), u32(8), directory(0x0113, 3, 6)]],
];
for (const [what, block] of HOSTILE) {
  Deno.test(`readHeader() takes orientation 1 when EXIF ${what}`, () => {
    assert.equal(
      readHeader(jpeg(exif(...block), frame(64, 64)), LIMITS).orientation,
      1,
    );
  });
}

Deno.test("readHeader() takes the first EXIF block and finds a directory anywhere in it", () => {
  const first = exif(
    "MM",
    u16(42),
    u32(12),
    [0, 0, 0, 0],
    directory(0x0112, 3, 6),
  );
  const second = exif("MM", u16(42), u32(8), directory(0x0112, 3, 3));
  assert.equal(
    readHeader(jpeg(first, second, frame(64, 64)), LIMITS).orientation,
    6,
  );
});

Deno.test("readHeader() reads a view into a larger buffer", () => {
  for (
    const name of [
      "orientation_6.jpg",
      "orientation_6.png",
      "orientation_8.webp",
    ]
  ) {
    const bytes = fixture(name);
    const buffer = new Uint8Array(bytes.length + 9).fill(0xff);
    buffer.set(bytes, 5);
    const view = buffer.subarray(5, 5 + bytes.length);
    assert.deepEqual(readHeader(view, LIMITS), readHeader(bytes, LIMITS));
  }
});

Deno.test("readHeader() finds a PNG's eXIf chunk behind its pixels", () => {
  const bytes = fixture("orientation_6.png");
  const chunk = bytes.slice(33, 33 + 12 + 26);
  const moved = join(
    bytes.slice(0, 33),
    bytes.slice(33 + chunk.length, -12),
    chunk,
  );
  assert.equal(readHeader(moved, LIMITS).orientation, 6);
});

Deno.test("readHeader() takes linear time on 8 MiB of markers, chunks or stuffing", () => {
  const size = 8 << 20;
  const zeros = new Uint8Array(size);
  const tail = new Uint8Array(size).map((_, i) => i % 2 ? 0 : 0xff);
  const comments = new Uint8Array(size).map((_, i) =>
    [0xff, 0xfe, 0, 2][i % 4]!
  );
  const webp = fixture("orientation_8.webp").subarray(0, 30);
  const inputs = [
    join([0xff, 0xd8], frame(64, 64)),
    join([0xff, 0xd8], frame(64, 64)),
    png(64, 64),
    webp,
  ];
  for (const [i, rest] of [tail, comments, zeros, zeros].entries()) {
    const bytes = new Uint8Array(size);
    bytes.set(rest);
    bytes.set(inputs[i]!);
    const start = performance.now();
    readHeader(bytes, LIMITS);
    assert.ok(performance.now() - start < 2000, `input ${i}`);
  }
});

Deno.test("readHeader() reads or refuses every prefix and every flipped bit of a header", () => {
  for (const name of fixtureNames()) {
    const whole = fixture(name);
    for (let i = 0; i < Math.min(whole.length, 700); i++) {
      const flipped = whole.slice();
      flipped[i] = flipped[i]! ^ (1 << i % 8);
      for (const bytes of [whole.subarray(0, i), flipped]) {
        try {
          readHeader(bytes, LIMITS);
        } catch (error) {
          assert.ok(
            error instanceof PipelineError,
            `${name} at ${i}: ${error}`,
          );
        }
      }
    }
  }
});
