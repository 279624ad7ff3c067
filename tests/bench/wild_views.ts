import { decode } from "../../src/pipeline/decode.ts";
import { readHeader } from "../../src/pipeline/header.ts";
import { type RawImage, warp } from "../../src/pipeline/image.ts";
import { IMAGE_LIMITS } from "../../src/pipeline/mod.ts";
import { encodePng } from "../../src/pipeline/png.ts";
import { interOcular } from "../../src/pipeline/postprocess.ts";
import type { Face } from "../../src/types.ts";

/** A face and the photo it is in. */
export interface View {
  photo: RawImage;
  /** With its landmarks. */
  face: Face;
  /** Tells photos apart. */
  photoIndex: number;
}

/** What is done to a view. */
export interface Alteration {
  /** Pixels of the action-unit model's input, rightwards and downwards. */
  shift?: [number, number];
  /** Factor and offset of every sample. */
  light?: [number, number];
  /** As a JPEG of this quality, 0 to 1, instead of a PNG. */
  jpeg?: number;
}

/** Ways in which two pictures of one face differ though the face does not. */
export const ALTERED: { name: string; alter: Alteration }[] = [
  { name: "moved by 1 px", alter: { shift: [1, -1] } },
  { name: "moved by 2 px", alter: { shift: [-2, 2] } },
  { name: "re-encoded", alter: { jpeg: 0.6 } },
  { name: "brighter", alter: { light: [1.15, 10] } },
  {
    name: "moved, re-encoded and brighter",
    alter: { shift: [1.5, 2], light: [1.15, 10], jpeg: 0.6 },
  },
];

/** Side of a view's picture in pixels. */
const SIDE = 320;
/** Side of what it shows, in sides of the face's box. */
const WIDTH = 2;
/** Distance of the eyes in the model's input, in its pixels. */
const EYES = 17.2;

/** A photo's pixels. */
export async function openPhoto(
  bytes: Uint8Array<ArrayBuffer>,
): Promise<RawImage> {
  return await decode(bytes, readHeader(bytes, IMAGE_LIMITS));
}

/** The face with what is around it, altered, as the bytes of a picture. */
export async function takeView(
  { photo, face }: View,
  { shift = [0, 0], light: [factor, offset] = [1, 0], jpeg }: Alteration = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const { x, y, width, height } = face.boundingBox;
  const side = WIDTH * Math.max(width, height), a = side / SIDE;
  const unit = interOcular(face.landmarks!) / EYES;
  const map = {
    a,
    b: 0,
    tx: x + width / 2 - side / 2 - shift[0] * unit + (a - 1) / 2,
    ty: y + height / 2 - side / 2 - shift[1] * unit + (a - 1) / 2,
  };
  const planes = warp(photo, map, SIDE, SIDE, "RGB");
  const data = new Uint8ClampedArray(planes.length), area = SIDE * SIDE;
  for (let i = 0; i < area; i++) {
    for (let c = 0; c < 3; c++) {
      data[3 * i + c] = factor * planes[c * area + i]! + offset;
    }
  }
  const png = await encodePng({
    data,
    width: SIDE,
    height: SIDE,
    channels: 3,
  });
  if (jpeg === undefined) return png;
  const canvas = new OffscreenCanvas(SIDE, SIDE);
  const bitmap = await createImageBitmap(new Blob([png]));
  canvas.getContext("bitmaprenderer")!.transferFromImageBitmap(bitmap);
  const blob = await canvas.convertToBlob({
    type: "image/jpeg",
    quality: jpeg,
  });
  return await blob.bytes();
}
