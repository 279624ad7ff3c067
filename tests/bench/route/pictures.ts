import { decode } from "../../../src/pipeline/decode.ts";
import { readHeader } from "../../../src/pipeline/header.ts";
import { type RawImage, warp } from "../../../src/pipeline/image.ts";
import { IMAGE_LIMITS, type Pipeline } from "../../../src/pipeline/mod.ts";
import { encodePng } from "../../../src/pipeline/png.ts";
import { squareCrop } from "../../../src/pipeline/preprocess.ts";
import { fixture, random } from "../../pipeline/support.ts";

/** Side of a crop in pixels. */
const SIDE = 64;

/** The pictures of this benchmark, all made of one photo of the tests. */
export interface Pictures {
  /** Photos by the faces in them. */
  photos: { faces: number; bytes: Uint8Array<ArrayBuffer> }[];
  /** Crops of the face, turned, shifted, near and far, of which the model is more and less sure. */
  crops: Uint8Array<ArrayBuffer>[];
}

/** Makes them. @throws {Error} when not all faces are found in them */
export async function makePictures(pipeline: Pipeline): Promise<Pictures> {
  const one = await fixture("astronaut.jpg");
  const image = await decode(one, readHeader(one, IMAGE_LIMITS));
  const photos = [
    { faces: 1, bytes: one },
    { faces: 8, bytes: await encodePng(tiled(image, 4, 2)) },
  ];
  for (const { faces, bytes } of photos) {
    const { faces: found } = await pipeline.analyze(bytes.slice());
    if (found.length !== faces) {
      throw new Error(`Cannot use a photo: ${found.length} of ${faces} found`);
    }
  }
  const { faces } = await pipeline.analyze(one.slice());
  const { x, y, width, height } = faces[0]!.boundingBox;
  const draw = random(1),
    between = (low: number, high: number) => low + draw() * (high - low);
  const crops = await Promise.all(Array.from({ length: 60 }, () => {
    const centre = {
      x: x + width * between(0.3, 0.7),
      y: y + height * between(0.3, 0.7),
    };
    const side = height * between(0.6, 1.6);
    const map = squareCrop(centre, side, between(-60, 60), SIDE);
    const data = Uint8Array.from(warp(image, map, SIDE, SIDE, "gray"));
    return encodePng({ data, width: SIDE, height: SIDE, channels: 1 });
  }));
  return { photos, crops };
}

/** A picture beside and below itself. */
function tiled(image: RawImage, columns: number, rows: number): RawImage {
  const { width, height, channels } = image, line = width * channels;
  const data = new Uint8Array(line * columns * height * rows);
  for (let row = 0; row < height * rows; row++) {
    const from = (row % height) * line;
    for (let column = 0; column < columns; column++) {
      data.set(
        image.data.subarray(from, from + line),
        (row * columns + column) * line,
      );
    }
  }
  return { data, width: width * columns, height: height * rows, channels };
}
