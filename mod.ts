/**
 * Mien: facial expression recognition at the edge.
 *
 * The contract's types, and the preprocessing that server and offline use share, bit for bit.
 *
 * @example Align a face as every model here wants it
 * ```ts
 * import { align, type RawImage, type Template, warp } from "@mien/mien";
 *
 * const image: RawImage = { data: new Uint8Array(64 * 64), width: 64, height: 64, channels: 1 };
 * const template: Template = {
 *   rightEye: [0.3, 0.37],
 *   leftEye: [0.68, 0.38],
 *   noseTip: [0.48, 0.58],
 *   rightMouthCorner: [0.33, 0.75],
 *   leftMouthCorner: [0.64, 0.76],
 * };
 * const landmarks = {
 *   rightEye: { x: 20, y: 24 },
 *   leftEye: { x: 44, y: 24 },
 *   noseTip: { x: 31, y: 37 },
 *   rightMouthCorner: { x: 22, y: 48 },
 *   leftMouthCorner: { x: 41, y: 48 },
 * };
 * const face = warp(image, align(landmarks, template, 64), 64, 64, "gray");
 * console.assert(face.length === 64 * 64);
 * ```
 *
 * @module
 */
export type * from "./src/types.ts";
export {
  type Color,
  type RawImage,
  type Similarity,
  warp,
} from "./src/pipeline/image.ts";
export {
  align,
  type InputSpec,
  LANDMARK_ORDER,
  letterbox,
  type Region,
  squareCrop,
  type Template,
  toTensor,
} from "./src/pipeline/preprocess.ts";
export {
  smooth,
  type Smoothed,
  type SmoothOptions,
  type SmoothState,
  type Track,
  type TrackedFace,
} from "./src/sdk/smooth.ts";
export { VERSION } from "./src/version.ts";
