/**
 * The preprocessing that server, page, Deno and Node share, bit for bit: from pixels and five
 * points to a model's input tensor.
 *
 * @example Align a face as a model here wants it
 * ```ts
 * import { align, type InputSpec, toRawImage, toTensor } from "@mien/mien/preprocess";
 *
 * const image = toRawImage({ data: new Uint8Array(64 * 64 * 4), width: 64, height: 64 });
 * const landmarks = {
 *   rightEye: { x: 20, y: 24 },
 *   leftEye: { x: 44, y: 24 },
 *   noseTip: { x: 31, y: 37 },
 *   rightMouthCorner: { x: 22, y: 48 },
 *   leftMouthCorner: { x: 41, y: 48 },
 * };
 * const input: InputSpec = {
 *   name: "image",
 *   shape: ["batch", 1, 64, 64],
 *   color: "gray",
 *   mean: [0.5],
 *   std: [0.5],
 *   template: {
 *     rightEye: [0.3, 0.37],
 *     leftEye: [0.68, 0.38],
 *     noseTip: [0.48, 0.58],
 *     rightMouthCorner: [0.33, 0.75],
 *     leftMouthCorner: [0.64, 0.76],
 *   },
 * };
 * const tensor = new Float32Array(64 * 64);
 * toTensor(image, align(landmarks, input.template!, 64), input, tensor, 0);
 * console.assert(tensor.every((value) => value >= -1 && value <= 1));
 * ```
 *
 * @module
 */
export {
  type Color,
  type RawImage,
  type Similarity,
  warp,
} from "../pipeline/image.ts";
export {
  align,
  type InputSpec,
  LANDMARK_ORDER,
  letterbox,
  type Region,
  squareCrop,
  type Template,
  toTensor,
} from "../pipeline/preprocess.ts";
export {
  type BitmapLike,
  type CanvasLike,
  type Drawable,
  type FrameLike,
  type ImageLike,
  type Pixels,
  type PixelSource,
  toRawImage,
  type VideoLike,
} from "./canvas.ts";
export type { Landmarks, Point } from "../types.ts";
