import { z } from "zod";
import type { ModelSpec } from "../pipeline/manifest.ts";
import { EXPLANATIONS } from "../pipeline/options.ts";

const share = z.number().min(0).max(1);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const point = z.tuple([share, share]);
const shape = z.array(z.union([z.number().int().positive(), z.string().min(1)]))
  .min(1);
const file = z.looseObject({
  file: z.string(),
  sha256,
  bytes: z.number().int().exactOptional(),
  inputs: z.array(z.string()).min(1).exactOptional(),
  outputs: z.array(z.string()).min(1).exactOptional(),
});

const percentiles = z.strictObject({
  output: z.string(),
  quantiles: z.array(z.number()).min(2).refine(
    (values) => values.every((value, i) => i === 0 || value >= values[i - 1]!),
    { message: "quantiles must ascend" },
  ),
});

const entry = z.looseObject({
  name: z.string().regex(/^[a-z][a-z0-9_]*$/),
  version: z.string().regex(/^\d+\.\d+\.\d+$/),
  task: z.enum([
    "faceDetection",
    "faceLandmarks",
    "expression",
    "gender",
    "actionUnits",
  ]),
  system: z.string().min(1),
  file: z.string().regex(/^[a-z0-9_]+\/[a-z0-9_]+\.onnx$/).nullable(),
  sha256,
  bytes: z.number().int().nonnegative(),
  opset: z.number().int().min(7),
  precision: z.enum(["fp32", "fp16", "int8"]),
  parameters: z.number().int().positive(),
  multiplyAdds: z.number().int().positive().exactOptional(),
  inputs: z.array(z.looseObject({
    name: z.string(),
    shape,
    layout: z.literal("NCHW"),
    color: z.enum(["gray", "RGB", "BGR"]),
    mean: z.array(z.number()),
    std: z.array(z.number().positive()),
    template: z.strictObject({
      rightEye: point,
      leftEye: point,
      noseTip: point,
      rightMouthCorner: point,
      leftMouthCorner: point,
    }).exactOptional(),
  })).min(1),
  outputs: z.array(z.looseObject({
    name: z.string(),
    shape: shape.exactOptional(),
    labels: z.array(z.string()).exactOptional(),
    thresholds: z.array(share).exactOptional(),
    signatures: z.record(z.string(), z.array(z.string())).exactOptional(),
    explains: z.enum(EXPLANATIONS).exactOptional(),
    role: z.literal("benchmark").exactOptional(),
  })).min(1),
  calibration: z.looseObject({
    temperature: z.number().positive(),
    certainty: percentiles.exactOptional(),
    typicality: percentiles.exactOptional(),
  }).exactOptional(),
  explanations: z.array(z.enum(EXPLANATIONS)).exactOptional(),
  graphs: z.record(z.string(), file).exactOptional(),
  variants: z.array(file).exactOptional(),
  metrics: z.array(
    z.looseObject({
      data: z.string(),
      n: z.number().int().positive(),
      command: z.string(),
    }),
  ).exactOptional(),
  crop: z.strictObject({
    scale: z.number().positive(),
    follow: z.strictObject({ scale: z.number().positive(), up: z.number() }),
  }).exactOptional(),
  license: z.string().min(1),
  dataLicense: z.string().exactOptional(),
  source: z.string().min(1),
}).refine(
  (spec) =>
    spec.task !== "expression" || spec.inputs[0]!.template !== undefined,
  {
    message: "an expression model needs a template",
    path: ["inputs", 0, "template"],
  },
).refine(
  ({ task, inputs, outputs: [units] }) =>
    task !== "actionUnits" ||
    inputs.length === 2 && inputs.every((input) => input.template) &&
      units!.labels !== undefined &&
      units!.labels.length === units!.thresholds?.length,
  {
    message:
      "an action-unit model needs two inputs with templates and a threshold per label",
    path: ["outputs", 0, "thresholds"],
  },
);

/**
 * Checks a manifest.
 *
 * @throws {RangeError} with a sentence that names the entry and the field
 */
export function checkManifest(specs: readonly ModelSpec[]): void {
  const seen = new Set<string>();
  specs.forEach((spec, index) => {
    const parsed = entry.safeParse(spec);
    if (!parsed.success) {
      const { path, message } = parsed.error.issues[0]!;
      const name = spec?.name ?? `entry ${index}`;
      throw new RangeError(
        `Cannot use the manifest: ${name}: ${path.join(".")}: ${message}`,
      );
    }
    if (seen.has(spec.name)) {
      throw new RangeError(
        `Cannot use the manifest: ${spec.name} stands in it twice`,
      );
    }
    seen.add(spec.name);
  });
}
