/**
 * The contract in plain interfaces: what goes over the wire and what the pipeline returns.
 * No imports, no code; zod schemas in the server only check it.
 *
 * @module
 */

/** A point in pixels of the upright image; the origin is the top-left corner's outer edge. */
export interface Point {
  /** To the right. */
  x: number;
  /** Downwards. */
  y: number;
}

/** A box in pixels of the upright image (or in shares of it, where named normalized). */
export interface BoundingBox {
  /** Left edge. */
  x: number;
  /** Top edge. */
  y: number;
  /** From the left edge to the right. */
  width: number;
  /** From the top edge to the bottom. */
  height: number;
}

/** The five alignment points. Right and left are the subject's. */
export interface Landmarks {
  /** The subject's right eye, left in an unmirrored picture. */
  rightEye: Point;
  /** The subject's left eye. */
  leftEye: Point;
  /** The tip of the nose. */
  noseTip: Point;
  /** The subject's right corner of the mouth. */
  rightMouthCorner: Point;
  /** The subject's left corner of the mouth. */
  leftMouthCorner: Point;
}

/** The eight apparent expressions, in the order every model of ours uses. */
export type ExpressionLabel =
  | "neutral"
  | "happiness"
  | "surprise"
  | "sadness"
  | "anger"
  | "disgust"
  | "fear"
  | "contempt";

/** One class and its calibrated probability, 0 to 1. */
export interface Score<Label extends string = string> {
  /** The class. */
  label: Label;
  /** Its probability, 0 to 1. */
  score: number;
}

/** The apparent expression of a face: what it shows, never what the person feels. */
export interface Expression extends Score<ExpressionLabel> {
  /** `uncertain` when the score is under the request's `minConfidence`. */
  decision: "certain" | "uncertain";
  /** Every class, sorted by score, summing to 1. */
  scores: Score<ExpressionLabel>[];
  /**
   * With `coverage`: the classes that together hold the truth at that rate, best first. Calibrated
   * on the validation split; empty where no class is likely enough to be needed for the rate.
   */
  labelSet?: ExpressionLabel[];
  /**
   * How little the model doubts this face, as the share of the validation split's faces that it
   * doubts more, 0 to 1. Only from models whose own measure of it was found to beat the scores.
   */
  certainty?: number;
  /**
   * How near the face lies to others of its label, as the share of the validation split's faces that
   * lie farther from theirs, 0 to 1. Only from models that learn such centres (DACL).
   */
  typicality?: number;
}

/** Perceived gender presentation; nothing about a person's identity. */
export type GenderLabel = "woman" | "man";

/** Why a face may be hard to read. */
export type QualityIssue =
  | "faceTooSmall"
  | "blurred"
  | "extremePose"
  | "tooDark"
  | "overexposed"
  | "truncated";

/** Technical quality of a face in its photo. */
export interface Quality {
  /** 0 (unusable) to 1 (good). */
  score: number;
  /** Mean luma of the aligned face, 0 to 1. */
  brightness: number;
  /** 0 (blurred) to 1 (sharp). */
  sharpness: number;
  /** Reasons, empty for a good face. */
  issues: QualityIssue[];
}

/** One unit of the Facial Action Coding System: a movement of the face, not its meaning. */
export interface ActionUnit {
  /** Its code, such as `AU12`. */
  au: string;
  /** Its name in that system. */
  name: string;
  /** How likely it is, 0 to 1. */
  score: number;
  /** Whether the score reaches the unit's own threshold. */
  active: boolean;
}

/** Action units that go with an apparent expression and were not found. */
export interface Inconsistency {
  /** The expression that was named. */
  expression: ExpressionLabel;
  /** The units that nearly all such faces show. */
  missing: string[];
}

/** Heatmap methods; each model says which it has. */
export type ExplanationMethod =
  | "evidence"
  | "gradCam"
  | "guidedBackprop"
  | "attention"
  | "difference";

/** Where in the face the answer comes from. */
export interface Explanation {
  /** How the map was made. */
  method: ExplanationMethod;
  /** The class the map speaks for; `change` for `difference`, which shows no class but what differs from the neutral. */
  label: string;
  /**
   * The map at the model's own resolution, row by row, scaled to 0–1.
   * `min + value * (max - min)` gives back the raw evidence, whose mean is the logit.
   */
  grid: {
    width: number;
    height: number;
    min: number;
    max: number;
    values: number[];
  };
  /** The map over the aligned face as a PNG data URL. */
  image: string;
}

/** Why an answer that should have come from the GPU came from the edge. */
export interface Fallback {
  /** Who should have answered. */
  from: "gpu";
  /** What was wrong with it. */
  reason:
    | "refused"
    | "timeout"
    | "error"
    | "invalid_response"
    | "circuit_open"
    | "overloaded";
}

/** Which model answered, where it ran and under which terms. */
export interface Provenance {
  /** The model's name in `/v1/models`. */
  model: string;
  /** Its version. */
  version: string;
  /** SHA-256 of its weights, hexadecimal. */
  sha256: string;
  /** Licence of the weights. */
  license: string;
  /** Terms of the data it was trained on. */
  dataLicense?: string;
  /** Where it ran. */
  backend: "wasm" | "gpu";
  /** Whether the face came from a photo or was sent aligned. */
  input: "photo" | "crop";
  /** Whether a GPU model was asked because the edge was in doubt. */
  escalated: boolean;
  /** Set when the GPU should have answered and did not. */
  fallback: Fallback | null;
}

/** One face of an analysed image. */
export interface Face {
  /** Where the face is. */
  boundingBox: BoundingBox;
  /** The same box in shares of the upright image's width and height. */
  normalizedBoundingBox: BoundingBox;
  /** The detector's score, 0 to 1. */
  detectionScore: number;
  /** On request: five points. */
  landmarks?: Landmarks;
  /** In-plane rotation in degrees, clockwise positive. */
  rollDegrees: number;
  /** On request: technical quality. */
  quality?: Quality;
  /** Only when asked for by name or by `all`: perceived gender presentation. */
  gender?: Score<GenderLabel>;
  /** On request: the apparent expression. */
  expression?: Expression;
  /** On request: action units, in the model's order. */
  actionUnits?: ActionUnit[];
  /**
   * What the units were read against: nothing, the neutral, which serves the largest face only, or
   * in a stream the face's own calmest look of late.
   */
  actionUnitReference?: "none" | "provided" | "running";
  /** With an expression and action units: where they disagree; empty when they do not. */
  consistency?: Inconsistency[];
  /** In a stream only: the same for one face as long as it is in view; 1 is the first. */
  trackId?: number;
  /** On request: a heatmap. */
  explanation?: Explanation;
  /** Which model answered, and where. */
  provenance: Provenance;
}

/** Milliseconds spent in each stage. */
export interface Timing {
  /** Bytes to pixels. */
  decodeMs: number;
  /** Finding faces. */
  detectMs: number;
  /** Landmarks and alignment. */
  alignMs: number;
  /** Expression and other attributes. */
  classifyMs: number;
  /** Heatmaps. */
  explainMs: number;
  /** Waiting for a GPU server. */
  remoteMs: number;
  /** Waiting for a Worker. */
  queueMs: number;
  /** From the pipeline's first byte to its answer. */
  totalMs: number;
}

/** Facts of the analysed image; the size is upright, after EXIF orientation. */
export interface ImageInfo {
  /** Pixels. */
  width: number;
  /** Pixels. */
  height: number;
  /** EXIF orientation, 1 to 8. */
  orientation: number;
  /** What the bytes are; `pixels` only offline, where a picture need not come as bytes. */
  type: ImageType | "pixels";
}

/** The image formats that are read. */
export type ImageType = "image/jpeg" | "image/png" | "image/webp";

/** The answer to one image. */
export interface Analysis {
  /** The request's id, also in `x-request-id`. */
  requestId: string;
  /** What was analysed. */
  image: ImageInfo;
  /** Largest first; empty when none was found. */
  faces: Face[];
  /** Where the time went. */
  timing: Timing;
}

/** What can be computed for a face. */
export type Attribute =
  | "expression"
  | "actionUnits"
  | "gender"
  | "landmarks"
  | "quality";

/** Options of one analysis; everything is optional. */
export interface AnalyzeOptions {
  /** `all`: everything this server has a model for. @default {["expression"]} */
  attributes?: Attribute[] | "all";
  /** The expression model's name, or `auto`. @default {"auto"} */
  model?: string;
  /** Who answers: `edge` never leaves the machine. @default {"auto"} */
  route?: "auto" | "edge" | "gpu";
  /** A heatmap per face. @default {"none"} */
  explain?: "none" | ExplanationMethod;
  /** 1 to 100, largest faces first. @default {20} */
  maxFaces?: number;
  /** 0 to 1. @default {0.6} */
  minDetectionConfidence?: number;
  /** 0 to 1; under it the decision is `uncertain`. @default {0} */
  minConfidence?: number;
  /** 0.5 to 0.99; adds `labelSet`. */
  coverage?: number;
  /** `crop`: the image is one face already aligned to the model's template. @default {"photo"} */
  input?: "photo" | "crop";
}

/** Every error code of the HTTP contract. */
export type ErrorCode =
  | "invalid_request"
  | "unauthenticated"
  | "forbidden"
  | "not_found"
  | "unknown_model"
  | "method_not_allowed"
  | "body_too_large"
  | "image_too_large"
  | "unsupported_image"
  | "corrupt_image"
  | "image_too_small"
  | "no_face_in_neutral"
  | "unsupported_option"
  | "rate_limited"
  | "overloaded"
  | "not_ready"
  | "gpu_unavailable"
  | "deadline_exceeded"
  | "internal";

/** An RFC 9457 problem document. */
export interface Problem {
  /** Where the code is explained. */
  type: string;
  /** The code in words. */
  title: string;
  /** The HTTP status. */
  status: number;
  /** What was wrong and what to change. */
  detail: string;
  /** What happened, for programs. */
  code: ErrorCode;
  /** The request's id, also in `x-request-id`. */
  requestId: string;
  /** One entry per offending option or field. */
  errors?: { path: string; message: string }[];
}

/** Limits on one image; all are inclusive. */
export interface ImageLimits {
  /** Pixels in all. @default {24_000_000} */
  maxPixels: number;
  /** Pixels a side. @default {12_000} */
  maxSide: number;
  /** Pixels a side. @default {32} */
  minSide: number;
}
