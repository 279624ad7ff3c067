import assert from "node:assert/strict";
import { Clock } from "../../src/pipeline/clock.ts";
import type { ImageHeader } from "../../src/pipeline/header.ts";
import { openPicture } from "../../src/pipeline/picture.ts";
import type { ImageType } from "../../src/types.ts";

/** Opens a gray picture of 4000 x 2000 pixels and counts its decodes. */
function open(type: ImageType) {
  const size = { width: 4000, height: 2000 };
  const header: ImageHeader = { type, ...size, orientation: 1, upright: size };
  const asked: (number | undefined)[] = [];
  const picture = openPicture(header, ({ longestSide = 4000 }) => {
    asked.push(longestSide);
    const divisor = [8, 4, 2, 1].find((d) => 4000 / d >= longestSide)!;
    const [width, height] = [4000 / divisor, 2000 / divisor];
    const data = new Uint8Array(width * height);
    return Promise.resolve({ data, width, height, channels: 1 });
  }, new Clock());
  return { asked, picture };
}

Deno.test("openPicture() decodes a JPEG anew for each finer size, no finer than asked", async () => {
  const { asked, picture } = open("image/jpeg");
  for (const side of [0, 400, 600, 300, 9999]) await picture(side);
  assert.deepEqual(asked, [320, 600, 4000]);
});

for (const type of ["image/png", "image/webp"] as const) {
  Deno.test(`openPicture() decodes ${type} once and gives the sizes a JPEG would have`, async () => {
    const png = open(type), jpeg = open("image/jpeg");
    for (const side of [0, 600, 1500, 9999]) {
      const [a, b] = [await png.picture(side), await jpeg.picture(side)];
      assert.deepEqual([a.image.width, a.scale], [b.image.width, b.scale]);
    }
    assert.deepEqual(png.asked, [4000]);
  });
}
