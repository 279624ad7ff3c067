/**
 * Steady faces from frame to frame, for frames that were analysed one by one: the tracker and
 * smoother that `WS /v1/stream` uses, alone and pure.
 *
 * @example Follow faces through frames analysed in the page
 * ```ts
 * import { type Face, smooth, type SmoothState } from "@mien/mien";
 *
 * let state: SmoothState | undefined;
 * function onFrame(faces: Face[]) {
 *   const steady = smooth(faces, { timestampMs: performance.now(), ...(state ? { state } : {}) });
 *   state = steady.state;
 *   for (const { trackId, expression } of steady.faces) console.log(trackId, expression?.label);
 * }
 * onFrame([]);
 * ```
 *
 * @module
 */
export {
  smooth,
  type Smoothed,
  type SmoothOptions,
  type SmoothState,
  type TrackedFace,
} from "../pipeline/smooth.ts";
export type { Track } from "../pipeline/track.ts";
