/**
 * Mien: facial expression recognition at the edge.
 *
 * The client, the contract's types, and the preprocessing that server and offline use share, bit
 * for bit. The offline engine is `@mien/mien/local`, the server `@mien/mien/server`.
 *
 * @example Ask a server
 * ```ts
 * import { Mien } from "@mien/mien";
 *
 * const mien = new Mien({ endpoint: "http://127.0.0.1:8000" });
 * export async function labels(photo: Blob) {
 *   const { faces } = await mien.analyze(photo, { maxSide: 1280 });
 *   return faces.map((face) => face.expression!.label);
 * }
 * ```
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
  type AnalyzeRequest,
  APIError,
  type BitmapLike,
  type CanvasLike,
  ConnectionError,
  type CropOptions,
  type CroppedFace,
  type CroppedFaces,
  type Drawable,
  type EncodedImage,
  type FaceCropper,
  type FailureCode,
  type FailureFacts,
  type FrameLike,
  type FrameSource,
  type Health,
  type ImageInput,
  type ImageLike,
  Mien,
  MienError,
  type MienOptions,
  type ModelSpec,
  type Pixels,
  type PixelSource,
  type RequestOptions,
  type StreamRequest,
  TimeoutError,
  type VideoLike,
} from "./src/sdk/client.ts";
export {
  align,
  type Color,
  type InputSpec,
  LANDMARK_ORDER,
  letterbox,
  type RawImage,
  type Region,
  type Similarity,
  squareCrop,
  type Template,
  toRawImage,
  toTensor,
  warp,
} from "./src/sdk/preprocess.ts";
export {
  smooth,
  type Smoothed,
  type SmoothOptions,
  type SmoothState,
  type Track,
  type TrackedFace,
} from "./src/sdk/smooth.ts";
export { VERSION } from "./src/version.ts";
