import type {
  BoundingBox,
  Landmarks,
  Quality,
  QualityIssue,
} from "../types.ts";
import { interOcular, roll } from "./postprocess.ts";

/** Side of the aligned face that quality is judged on; the thresholds hold for this one. */
export const QUALITY_SIDE = 64;

/** What quality is judged from. */
export interface QualityInput {
  /** The aligned face: planes of gray, 0 to 255, `side` x `side`. */
  face: Float32Array;
  side: number;
  /** In pixels of the full-size upright image. */
  landmarks: Landmarks;
  /** The face's box in the same pixels. */
  boundingBox: BoundingBox;
  /** Share of the aligned face that lies outside the picture, 0 to 1. */
  outside: number;
}

/**
 * Thresholds. Those on light and sharpness lie where FER2013's validation tiles end, so that what
 * the models were chosen on passes; tests degrade a clean photo past each.
 */
export const QUALITY_LIMITS = {
  /** Shorter side of the box, pixels. */
  faceSide: 40,
  /** Sharpness, 0 to 1. */
  sharpness: 0.115,
  /** Mean luma, 0 to 1. */
  dark: 0.2,
  bright: 0.8,
  /** Share of samples at 250 or more. */
  clipped: 0.25,
  /** Degrees of in-plane rotation. */
  roll: 45,
  /** Inter-ocular distance over eye-to-mouth distance: about 1 in front, falling with yaw. */
  foreshortening: 0.75,
  /** Sideways distance of the nose from the eyes' middle, in inter-ocular distances. */
  turned: 0.45,
  /** Share of the aligned face outside the picture; detectors trim their boxes to it. */
  outside: 0.15,
} as const;

/** Technical quality of one face, with the reasons that make it hard to read. */
export function judgeQuality(input: QualityInput): Quality {
  const { face, side, landmarks, boundingBox: box } = input;
  let sum = 0, clipped = 0;
  for (const value of face) {
    sum += value;
    if (value >= 250) clipped++;
  }
  const brightness = sum / face.length / 255;
  const sharp = sharpness(face, side);
  const issues: QualityIssue[] = [];
  if (Math.min(box.width, box.height) < QUALITY_LIMITS.faceSide) {
    issues.push("faceTooSmall");
  }
  if (sharp < QUALITY_LIMITS.sharpness) issues.push("blurred");
  if (isExtremePose(landmarks)) issues.push("extremePose");
  if (brightness < QUALITY_LIMITS.dark) issues.push("tooDark");
  if (
    brightness > QUALITY_LIMITS.bright ||
    clipped / face.length > QUALITY_LIMITS.clipped
  ) {
    issues.push("overexposed");
  }
  if (input.outside > QUALITY_LIMITS.outside) issues.push("truncated");
  const size = Math.min(
    1,
    Math.min(box.width, box.height) / (2 * QUALITY_LIMITS.faceSide),
  );
  const light = Math.max(0, 1 - Math.abs(brightness - 0.5) / 0.5);
  const score = size * Math.sqrt(Math.min(1, sharp / 0.25)) * Math.sqrt(light) *
    0.6 ** issues.length;
  return { score: Math.min(1, score), brightness, sharpness: sharp, issues };
}

/**
 * Fine detail over coarse detail, 0 to 1: the mean absolute Laplacian against the spread of the
 * samples, so that contrast and light cancel out.
 */
export function sharpness(face: Float32Array, side: number): number {
  let laplacian = 0, sum = 0, square = 0, n = 0;
  for (let y = 1; y < side - 1; y++) {
    for (let x = 1; x < side - 1; x++) {
      const i = y * side + x, centre = face[i]!;
      laplacian += Math.abs(
        4 * centre - face[i - 1]! - face[i + 1]! - face[i - side]! -
          face[i + side]!,
      );
      sum += centre;
      square += centre * centre;
      n++;
    }
  }
  const spread = Math.sqrt(Math.max(0, square / n - (sum / n) ** 2));
  return spread < 1 ? 0 : Math.min(1, laplacian / n / spread);
}

function isExtremePose(landmarks: Landmarks): boolean {
  const { rightEye, leftEye, noseTip, rightMouthCorner, leftMouthCorner } =
    landmarks;
  const eyes = interOcular(landmarks);
  const middle = {
    x: (rightEye.x + leftEye.x) / 2,
    y: (rightEye.y + leftEye.y) / 2,
  };
  const mouth = {
    x: (rightMouthCorner.x + leftMouthCorner.x) / 2,
    y: (rightMouthCorner.y + leftMouthCorner.y) / 2,
  };
  const ratio = eyes / Math.hypot(mouth.x - middle.x, mouth.y - middle.y);
  const axis = {
    x: (leftEye.x - rightEye.x) / eyes,
    y: (leftEye.y - rightEye.y) / eyes,
  };
  const aside = (noseTip.x - middle.x) * axis.x +
    (noseTip.y - middle.y) * axis.y;
  return Math.abs(roll(landmarks)) > QUALITY_LIMITS.roll ||
    ratio < QUALITY_LIMITS.foreshortening ||
    Math.abs(aside) / eyes > QUALITY_LIMITS.turned;
}
