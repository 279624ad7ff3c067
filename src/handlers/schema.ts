import { z } from "@hono/zod-openapi";
import { ATTRIBUTES, EXPLANATIONS } from "../pipeline/options.ts";
import type { Analysis, AnalyzeOptions, Attribute, Problem } from "../types.ts";

/** Numbers may come as text in a query string. */
function number(min: number, max: number) {
  return z.preprocess(
    (value) =>
      typeof value === "string" && value.trim() !== "" ? Number(value) : value,
    z.number().min(min).max(max),
  );
}

/** `all`, a comma list, or an array of names. */
const attributes = z.preprocess(
  (value) =>
    typeof value === "string" && value !== "all"
      ? value.split(",").map(trim)
      : value,
  z.union([
    z.literal("all"),
    z.array(
      z.enum(ATTRIBUTES as readonly Attribute[] as [Attribute, ...Attribute[]]),
    ).min(1),
  ]),
);

function trim(text: string): string {
  return text.trim();
}

/** Options of an analysis, from a query string or from JSON. */
export const OptionsSchema = z.strictObject({
  attributes: attributes.optional().openapi({
    type: "string",
    default: "expression",
    description: `\`all\` or a comma list of ${ATTRIBUTES.join(", ")}`,
    example: "expression,quality",
  }),
  model: z.string().min(1).max(100).optional().openapi({
    default: "auto",
    description: "`auto` or an expression model's name from `/v1/models`",
  }),
  route: z.enum(["auto", "edge", "gpu"]).optional().openapi({
    default: "auto",
  }),
  explain: z.enum(["none", ...EXPLANATIONS]).optional().openapi({
    default: "none",
    description:
      "A heatmap per face; which methods a model has stands in `/v1/models`",
  }),
  maxFaces: number(1, 100).pipe(z.number().int()).optional().openapi({
    type: "integer",
    minimum: 1,
    maximum: 100,
    default: 20,
    description: "Largest faces first",
  }),
  minDetectionConfidence: number(0, 1).optional().openapi({
    type: "number",
    minimum: 0,
    maximum: 1,
    default: 0.6,
  }),
  minConfidence: number(0, 1).optional().openapi({
    type: "number",
    minimum: 0,
    maximum: 1,
    default: 0,
    description: "Under it the decision is `uncertain`",
  }),
  coverage: number(0.5, 0.99).optional().openapi({
    type: "number",
    minimum: 0.5,
    maximum: 0.99,
    description:
      "Adds `labelSet`: the classes that hold the truth at this rate",
  }),
  input: z.enum(["photo", "crop"]).optional().openapi({
    default: "photo",
    description:
      "`crop`: the body is one face already aligned to the model's template",
  }),
  format: z.enum(["mien", "aws", "deepface", "human", "hume"]).optional()
    .openapi({
      default: "mien",
      description: "Only `mien` is available yet",
    }),
});

/** What `OptionsSchema` yields: the pipeline's options and the one not available yet. */
export type ParsedOptions = z.infer<typeof OptionsSchema>;

/**
 * A field that may be absent. The document's generator takes `exactOptional()` for required, so
 * this is `optional()` with the other's type; JSON has no `undefined` to tell them apart.
 */
function mayBeAbsent<Schema extends z.ZodType>(
  schema: Schema,
): z.ZodExactOptional<Schema> {
  return schema.optional() as unknown as z.ZodExactOptional<Schema>;
}

const point = z.object({ x: z.number(), y: z.number() }).openapi("Point");
const box = z.object({
  x: z.number(),
  y: z.number(),
  width: z.number(),
  height: z.number(),
})
  .openapi("BoundingBox");
const share = z.number().min(0).max(1);
const expressionLabel = z.enum([
  "neutral",
  "happiness",
  "surprise",
  "sadness",
  "anger",
  "disgust",
  "fear",
  "contempt",
]).openapi("ExpressionLabel");
const score = z.object({ label: expressionLabel, score: share });

const face = z.object({
  boundingBox: box,
  normalizedBoundingBox: box,
  detectionScore: share,
  landmarks: mayBeAbsent(
    z.object({
      rightEye: point,
      leftEye: point,
      noseTip: point,
      rightMouthCorner: point,
      leftMouthCorner: point,
    }).openapi("Landmarks"),
  ),
  rollDegrees: z.number().min(-180).max(180),
  quality: mayBeAbsent(
    z.object({
      score: share,
      brightness: share,
      sharpness: share,
      issues: z.array(
        z.enum([
          "faceTooSmall",
          "blurred",
          "extremePose",
          "tooDark",
          "overexposed",
          "truncated",
        ]),
      ),
    }).openapi("Quality"),
  ),
  expression: mayBeAbsent(
    z.object({
      label: expressionLabel,
      score: share,
      decision: z.enum(["certain", "uncertain"]),
      scores: z.array(score),
      labelSet: mayBeAbsent(z.array(expressionLabel)),
      certainty: mayBeAbsent(share),
      typicality: mayBeAbsent(share),
    }).openapi("Expression"),
  ),
  gender: mayBeAbsent(
    z.object({ label: z.enum(["woman", "man"]), score: share })
      .openapi("Gender"),
  ),
  actionUnits: mayBeAbsent(
    z.array(
      z.object({
        au: z.string().regex(/^AU\d\d$/),
        name: z.string(),
        score: share,
        active: z.boolean(),
      }).openapi("ActionUnit"),
    ),
  ),
  actionUnitReference: mayBeAbsent(z.enum(["none", "provided", "running"])),
  consistency: mayBeAbsent(
    z.array(
      z.object({ expression: expressionLabel, missing: z.array(z.string()) })
        .openapi("Inconsistency"),
    ),
  ),
  trackId: mayBeAbsent(z.number().int().min(1)),
  explanation: mayBeAbsent(
    z.object({
      method: z.enum(EXPLANATIONS),
      label: z.string(),
      grid: z.object({
        width: z.number().int(),
        height: z.number().int(),
        min: z.number(),
        max: z.number(),
        values: z.array(share),
      }),
      image: z.string().startsWith("data:image/png;base64,"),
    }).openapi("Explanation"),
  ),
  provenance: z.object({
    model: z.string(),
    version: z.string(),
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
    license: z.string(),
    dataLicense: mayBeAbsent(z.string()),
    backend: z.enum(["wasm", "gpu"]),
    input: z.enum(["photo", "crop"]),
    escalated: z.boolean(),
    fallback: z.object({
      from: z.literal("gpu"),
      reason: z.enum([
        "refused",
        "timeout",
        "error",
        "invalid_response",
        "circuit_open",
        "overloaded",
      ]),
    }).nullable(),
  }).openapi("Provenance"),
}).openapi("Face");

/** The answer to one image. */
export const AnalysisSchema = z.object({
  requestId: z.string(),
  image: z.object({
    width: z.number().int(),
    height: z.number().int(),
    orientation: z.number().int().min(1).max(8),
    type: z.enum(["image/jpeg", "image/png", "image/webp"]),
  }),
  faces: z.array(face),
  timing: z.object({
    decodeMs: z.number(),
    detectMs: z.number(),
    alignMs: z.number(),
    classifyMs: z.number(),
    explainMs: z.number(),
    remoteMs: z.number(),
    queueMs: z.number(),
    totalMs: z.number(),
  }).openapi("Timing"),
}).openapi("Analysis") satisfies z.ZodType<Analysis>;

/** An RFC 9457 problem document. */
export const ProblemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number().int(),
  detail: z.string(),
  code: z.string(),
  requestId: z.string(),
  errors: mayBeAbsent(
    z.array(z.object({ path: z.string(), message: z.string() })),
  ),
}).openapi("Problem");

/** The JSON form of an analysis request. */
export const JsonBodySchema = z.strictObject({
  image: z.string().min(1).openapi({
    format: "byte",
    description: "Base64 of the file",
  }),
  neutral: z.string().min(1).optional().openapi({
    format: "byte",
    description:
      "The same person with a relaxed face: the reference for `actionUnits`. Its largest face serves the photo's largest face",
  }),
  options: OptionsSchema.optional(),
}).openapi("AnalyzeRequest");

/** One model as `/v1/models` lists it: its manifest entry. */
export const ModelSchema = z.looseObject({
  name: z.string(),
  version: z.string(),
  task: z.enum([
    "faceDetection",
    "faceLandmarks",
    "expression",
    "gender",
    "actionUnits",
  ]),
  system: z.string(),
  file: z.string().nullable(),
  sha256: z.string(),
  bytes: z.number().int(),
  license: z.string(),
}).openapi("Model");

/** Does not compile unless what it is given holds. */
type Holds<Claim extends true> = Claim;

/** A problem's shape must stay the contract's. */
export type ProblemMatches = Holds<
  Problem extends z.infer<typeof ProblemSchema> ? true : false
>;
/** Parsed options must be what the pipeline takes, but for the one that it lacks. */
export type OptionsMatch = Holds<
  Omit<ParsedOptions, "format"> extends
    { [Key in keyof AnalyzeOptions]: AnalyzeOptions[Key] | undefined } ? true
    : false
>;
