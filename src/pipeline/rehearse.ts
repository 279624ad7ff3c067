import type { RawImage } from "./image.ts";
import {
  type InputSpec,
  letterbox,
  squareCrop,
  toTensor,
} from "./preprocess.ts";

/** Rounds after which the loops are compiled. */
const ROUNDS = 2;
const PICTURE: RawImage = {
  data: new Uint8Array(480 * 320 * 3),
  width: 480,
  height: 320,
  channels: 3,
};

/**
 * Samples an empty picture as a photo with faces would be, for its effect on the JavaScript engine
 * alone: ONNX Runtime's start keeps the threads that compile busy for half a second, and a first
 * photo that comes then would be sampled by the interpreter.
 *
 * @param detector The detector's input.
 * @param crop The landmark net's input.
 */
export function rehearse(detector: InputSpec, crop: InputSpec): void {
  const size = Number(crop.shape[3]);
  const into = new Float32Array(size * size);
  const close = { x: 1.5, y: 2.5, width: 80.5, height: 80.5 };
  for (let round = 0; round < ROUNDS; round++) {
    letterbox(PICTURE, 320, detector);
    letterbox(PICTURE, 96, detector, close);
    for (const side of [60, 90, 150]) {
      const map = squareCrop({ x: 200, y: 160 }, side, 3, size);
      toTensor(PICTURE, map, crop, into, 0);
    }
  }
}
