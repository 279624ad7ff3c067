import type { ImageLimits } from "../types.ts";

/** Default limits on an image. */
export const IMAGE_LIMITS: ImageLimits = {
  maxPixels: 24_000_000,
  maxSide: 12_000,
  minSide: 32,
};

/** The model that `auto` means unless the pipeline is told otherwise. */
export const DEFAULT_MODEL = "expression_mien";
