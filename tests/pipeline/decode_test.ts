import assert from "node:assert/strict";
import { type CodecName, loadCodec } from "../../src/pipeline/codecs.ts";
import { decode, type DecodeOptions } from "../../src/pipeline/decode.ts";
import { PipelineError } from "../../src/pipeline/error.ts";
import { type ImageHeader, readHeader } from "../../src/pipeline/header.ts";
import type { RawImage } from "../../src/pipeline/image.ts";
import {
  fixture,
  fixtureNames,
  grayOf,
  LIMITS,
  maxDifference,
  overWhite,
  ramp,
  seeded,
} from "../testdata/pictures.ts";

const RAMP = ramp();
const GRAY = grayOf(RAMP);
const NO_LIMITS = { maxPixels: 1e6, maxSide: 5000, minSide: 1 };

function read(bytes: Uint8Array, options?: DecodeOptions): Promise<RawImage> {
  return decode(bytes, readHeader(bytes, NO_LIMITS), options);
}

function near(actual: RawImage, expected: RawImage, tolerance: number): void {
  const difference = maxDifference(actual, expected);
  assert.ok(
    difference <= tolerance,
    `off by ${difference}, allowed ${tolerance}`,
  );
}

async function fails(
  bytes: Uint8Array,
  header = readHeader(bytes, NO_LIMITS),
): Promise<PipelineError> {
  const error = await decode(bytes, header).then(
    () => undefined,
    (error) => error,
  );
  assert.ok(error instanceof PipelineError, String(error));
  assert.equal(error.code, "corrupt_image");
  return error;
}

/** A picture or a PipelineError; anything else is a bug. */
async function settles(bytes: Uint8Array, what: string): Promise<void> {
  try {
    const image = await read(bytes);
    assert.equal(
      image.data.length,
      image.width * image.height * image.channels,
      what,
    );
  } catch (error) {
    assert.ok(error instanceof PipelineError, `${what}: ${error}`);
  }
}

const SAME_PICTURE: [
  name: string,
  what: string,
  expected: RawImage,
  tolerance: number,
][] = [
  ["color_444.jpg", "a 4:4:4 JPEG", RAMP, 4],
  ["color_420.jpg", "a 4:2:0 JPEG", RAMP, 10],
  ["progressive.jpg", "a progressive JPEG", RAMP, 10],
  ["restarts.jpg", "a JPEG with restart markers", RAMP, 10],
  ["adobe_rgb.jpg", "an RGB JPEG", RAMP, 4],
  ["gray.jpg", "a gray JPEG to one channel", GRAY, 3],
  ["cmyk.jpg", "an Adobe CMYK JPEG", RAMP, 7],
  ["ycck.jpg", "an Adobe YCCK JPEG", RAMP, 7],
  ["rgb16.png", "a 16-bit RGB PNG", RAMP, 1],
  ["gray16.png", "a 16-bit gray PNG to one channel", GRAY, 1],
  ["interlaced.png", "an interlaced PNG", RAMP, 0],
  ["animated.png", "the first frame of an animated PNG", RAMP, 0],
  ["lossless.webp", "a lossless WebP", RAMP, 0],
  ["lossy.webp", "a lossy WebP", RAMP, 20],
  [
    "rgba.png",
    "an RGBA PNG over white",
    overWhite(RAMP, (i) => GRAY.data[i]!),
    1,
  ],
  [
    "alpha.webp",
    "a WebP with alpha over white",
    overWhite(RAMP, (i) => GRAY.data[i]!),
    1,
  ],
  [
    "gray_alpha.png",
    "a gray PNG with alpha over white to one channel",
    overWhite(GRAY, (i) => RAMP.data[i * 3]!),
    1,
  ],
  [
    "key.png",
    "a PNG's key colour to white",
    overWhite(RAMP, (i) => i === 0 ? 0 : 255),
    0,
  ],
  ["orientation_6.png", "a PNG turned by its eXIf chunk", RAMP, 0],
  ["orientation_8.webp", "a WebP turned by its EXIF chunk", RAMP, 0],
];
for (let orientation = 1; orientation <= 8; orientation++) {
  const what = `a JPEG of orientation ${orientation} upright`;
  SAME_PICTURE.push([`orientation_${orientation}.jpg`, what, RAMP, 4]);
}
for (const [name, what, expected, tolerance] of SAME_PICTURE) {
  Deno.test(`decode() reads ${what}`, async () => {
    near(await read(fixture(name)), expected, tolerance);
  });
}

Deno.test("decode() reads a palette PNG and its transparent entry over white", async () => {
  const colors = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [127, 127, 127]];
  const { data, channels, width } = await read(fixture("palette.png"));
  assert.equal(channels, 3);
  for (let i = 0; i < data.length / 3; i++) {
    assert.deepEqual([...data.slice(i * 3, i * 3 + 3)], colors[i % width % 4]);
  }
});

Deno.test("decode() reads a bilevel PNG as gray 0 and 255", async () => {
  const expected = {
    ...GRAY,
    data: GRAY.data.map((value) => value >= 128 ? 255 : 0),
  };
  near(await read(fixture("bilevel.png")), expected, 0);
});

for (
  const [longestSide, width, height] of [
    [undefined, 200, 120],
    [201, 200, 120],
    [101, 200, 120],
    [100, 100, 60],
    [51, 100, 60],
    [50, 50, 30],
    [26, 50, 30],
    [25, 25, 15],
    [1, 25, 15],
  ] as const
) {
  Deno.test(`decode() scales a 200 px JPEG to ${width} px for longestSide ${longestSide}`, async () => {
    const options = longestSide === undefined ? {} : { longestSide };
    const image = await read(fixture("large.jpg"), options);
    assert.deepEqual([image.width, image.height], [width, height]);
    near(image, boxAverage(ramp(200, 120), 200 / width), 6);
  });
}

function boxAverage(image: RawImage, factor: number): RawImage {
  const width = image.width / factor;
  const height = image.height / factor;
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i++) {
    const x = Math.floor(i / 3) % width * factor;
    const y = Math.floor(i / 3 / width) * factor;
    let sum = 0;
    for (let k = 0; k < factor * factor; k++) {
      const row = y + Math.floor(k / factor);
      sum += image.data[(row * image.width + x + k % factor) * 3 + i % 3]!;
    }
    data[i] = sum / factor / factor;
  }
  return { data, width, height, channels: 3 };
}

Deno.test("decode() scales a 4:2:0 photo to the average of its pixels", async () => {
  const full = await read(fixture("coffee.jpg"));
  const quarter = await read(fixture("coffee.jpg"), { longestSide: 100 });
  const expected = boxAverage(crop(full, 4 * quarter.width, 264), 4);
  let sum = 0;
  expected.data.forEach((value, i) =>
    sum += Math.abs(value - quarter.data[i]!)
  );
  const difference = sum / expected.data.length;
  assert.ok(difference < 3.5, `off by ${difference} on average`);
});

function crop(image: RawImage, width: number, height: number): RawImage {
  assert.equal(image.width, width);
  return {
    ...image,
    height,
    data: image.data.slice(0, width * height * image.channels),
  };
}

Deno.test("decode() scales before it turns, rounding odd sides up", async () => {
  const { width, height } = await read(fixture("orientation_6.jpg"), {
    longestSide: 20,
  });
  assert.deepEqual([width, height], [24, 17]);
});

Deno.test("decode() scales a CMYK JPEG", async () => {
  const { width, height, channels } = await read(fixture("cmyk.jpg"), {
    longestSide: 24,
  });
  assert.deepEqual([width, height, channels], [24, 17, 3]);
});

Deno.test("decode() ignores longestSide for PNG and WebP", async () => {
  near(await read(fixture("interlaced.png"), { longestSide: 8 }), RAMP, 0);
  near(await read(fixture("lossless.webp"), { longestSide: 8 }), RAMP, 0);
});

Deno.test("decode() reads a view into a larger buffer", async () => {
  for (const name of ["color_444.jpg", "interlaced.png", "lossless.webp"]) {
    const bytes = fixture(name);
    const buffer = new Uint8Array(bytes.length + 20).fill(0xff);
    buffer.set(bytes, 7);
    near(await read(buffer.subarray(7, 7 + bytes.length)), RAMP, 4);
  }
});

Deno.test("decode() leaves the bytes untouched", async () => {
  for (const name of ["cmyk.jpg", "rgba.png", "alpha.webp"]) {
    const bytes = fixture(name);
    await read(bytes);
    assert.deepEqual(bytes, fixture(name));
  }
});

Deno.test("decode() takes codecs from its host, and no other", async () => {
  for (const name of ["color_444.jpg", "interlaced.png", "lossless.webp"]) {
    const asked: string[] = [];
    const own = async (codec: CodecName) => {
      asked.push(codec);
      return await loadCodec(codec);
    };
    near(await read(fixture(name), { codecs: own }), RAMP, 4);
    assert.equal(asked.length, 1);
    const nothing = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
    const codecs = () => WebAssembly.compile(nothing);
    await assert.rejects(read(fixture(name), { codecs }));
    near(await read(fixture(name)), RAMP, 4);
  }
});

Deno.test("decode() reads many pictures at once", async () => {
  const names = ["lossless.webp", "interlaced.png", "color_444.jpg"];
  const jobs = Array.from(
    { length: 30 },
    (_, i) => read(fixture(names[i % 3]!)),
  );
  for (const image of await Promise.all(jobs)) near(image, RAMP, 4);
});

Deno.test("decode() reads a good picture after a hundred broken ones", async () => {
  for (const name of ["color_444.jpg", "interlaced.png", "lossless.webp"]) {
    const bytes = fixture(name);
    const broken = bytes.slice(0, bytes.length - 30);
    for (let i = 0; i < 100; i++) await fails(broken);
    near(await read(bytes), RAMP, 4);
  }
});

Deno.test("decode() reads JPEG, PNG and WebP in a Worker", async () => {
  const worker = new Worker(
    new URL("../testdata/decode_worker.ts", import.meta.url),
    {
      type: "module",
    },
  );
  const answer = await new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = reject;
    worker.postMessage(["color_444.jpg", "interlaced.png", "lossless.webp"]);
  });
  worker.terminate();
  assert.deepEqual(answer, ["47x33", "47x33", "47x33"]);
});

for (
  const name of [
    "color_444.jpg",
    "progressive.jpg",
    "rgba.png",
    "lossy.webp",
    "alpha.webp",
  ]
) {
  Deno.test(`decode() says half of ${name} is corrupt, with a sentence and a cause`, async () => {
    const bytes = fixture(name);
    const header = readHeader(bytes, NO_LIMITS);
    const error = await fails(bytes.subarray(0, bytes.length >> 1), header);
    assert.match(
      error.message,
      /^Cannot decode image: .+ damaged or incomplete$/,
    );
    assert.ok(error.cause !== undefined);
  });
}

Deno.test("decode() refuses a picture whose size is not its header's", async () => {
  for (const name of ["color_444.jpg", "interlaced.png", "lossless.webp"]) {
    const header: ImageHeader = {
      ...readHeader(fixture(name), LIMITS),
      height: 34,
    };
    const error = await fails(fixture(name), header);
    assert.match(error.message, /another size/);
  }
});

Deno.test("decode() fills up a JPEG that was cut and closed, as browsers do", async () => {
  const bytes = fixture("color_444.jpg");
  bytes.set([0xff, 0xd9], bytes.length - 200);
  const { data, width, height } = await read(
    bytes.subarray(0, bytes.length - 198),
  );
  assert.deepEqual([width, height], [47, 33]);
  assert.deepEqual(
    data.slice(0, 47 * 3),
    (await read(fixture("color_444.jpg"))).data.slice(0, 47 * 3),
  );
});

Deno.test("decode() settles for every prefix of small files", async () => {
  const names = [
    "color_444.jpg",
    "progressive.jpg",
    "palette.png",
    "bilevel.png",
    "lossy.webp",
  ];
  for (const name of [...names, "alpha.webp"]) {
    const bytes = fixture(name);
    for (let length = 0; length < bytes.length; length++) {
      await settles(bytes.subarray(0, length), `${name} cut at ${length}`);
    }
  }
});

for (const name of fixtureNames()) {
  Deno.test(`decode() settles for 200 flipped bytes of ${name}`, async () => {
    const whole = fixture(name);
    const random = seeded(7);
    for (let i = 0; i < 200; i++) {
      const bytes = whole.slice();
      const at = Math.floor(random() * bytes.length);
      bytes[at] = bytes[at]! ^ (1 + Math.floor(random() * 255));
      await settles(bytes, `${name} flip ${i} at ${at}`);
    }
  });
}
