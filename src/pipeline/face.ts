import type {
  ExpressionLabel,
  Face,
  GenderLabel,
  Provenance,
  Score,
} from "../types.ts";
import type { Clock } from "./clock.ts";
import { readCues } from "./cues.ts";
import type { Scaled } from "./detect.ts";
import { evidenceMap, explain, planeMap } from "./explain.ts";
import { type RawImage, type Similarity, warp } from "./image.ts";
import type { LocatedFace } from "./landmarks.ts";
import { type ModelSpec, servedLabels } from "./manifest.ts";
import type { Plan } from "./options.ts";
import { labelSet, rank, roll, softmax, type Tensor } from "./postprocess.ts";
import { unproject } from "./preprocess.ts";
import { judgeQuality, QUALITY_SIDE } from "./quality.ts";
import { type AlignedFaces, mapOutput, row } from "./reading.ts";

/** What the gender model said of all faces. */
export interface GenderReading {
  spec: ModelSpec;
  logits: Tensor;
}

/** Everything known of one face once the models have run. */
export interface FaceFacts {
  face: LocatedFace;
  /** Its place in the batch. */
  index: number;
  plan: Plan;
  /** Size of the upright image. */
  image: { width: number; height: number };
  picture: Scaled;
  /** All faces as the expression model sees them. */
  aligned: AlignedFaces;
  /** That model's outputs, when it was asked. */
  expression?: Record<string, Tensor>;
  gender?: GenderReading;
  clock: Clock;
}

/** One face as the contract has it. */
export async function describeFace(input: FaceFacts): Promise<Face> {
  const { face, index, plan, aligned, expression: outputs, gender } = input;
  const { spec } = aligned;
  const { width, height } = input.image;
  const { boundingBox: box, landmarks } = face;
  const samples = aligned.samples[index]!;
  const side = Number(spec.inputs[0]!.shape[3]);
  const answer: Face = {
    boundingBox: box,
    normalizedBoundingBox: {
      x: box.x / width,
      y: box.y / height,
      width: box.width / width,
      height: box.height / height,
    },
    detectionScore: face.score,
    rollDegrees: roll(landmarks),
    provenance: {
      ...describeModel(spec, gender ? [gender.spec] : []),
      backend: "wasm",
      input: plan.input,
      escalated: false,
      fallback: null,
    },
  };
  if (plan.attributes.includes("landmarks")) answer.landmarks = landmarks;
  if (plan.attributes.includes("quality")) {
    answer.quality = judgeQuality({
      face: qualityView(aligned, index, input.picture),
      side: QUALITY_SIDE,
      landmarks,
      boundingBox: box,
      outside: shareOutside(aligned.maps[index]!, side, input.picture.image),
    });
  }
  if (gender) {
    const logits = row(gender.logits, index);
    const labels = gender.spec.outputs[0]!.labels as GenderLabel[];
    const { temperature } = gender.spec.calibration!;
    answer.gender = rank(labels, softmax(logits, temperature))[0]!;
  }
  if (outputs) {
    const { clock } = input;
    Object.assign(
      answer,
      await describeExpression({ spec, outputs, index, samples, plan, clock }),
    );
  }
  return answer;
}

/** One face as an expression model sees it and what the model says, wherever it ran. */
export interface ExpressionFacts {
  spec: ModelSpec;
  outputs: Record<string, Tensor>;
  /** The face's place in the outputs' batch. */
  index: number;
  /** Its aligned samples, 0 to 255. */
  samples: Float32Array;
  plan: Plan;
  clock: Clock;
}

/** The apparent expression and its heatmap, as far as the plan asks and the model has them. */
export async function describeExpression(
  { spec, outputs, index, samples, plan, clock }: ExpressionFacts,
): Promise<Pick<Face, "expression" | "explanation">> {
  const answer: Pick<Face, "expression" | "explanation"> = {};
  const labels = servedLabels(spec), scores = scoresOf(spec, outputs, index);
  const best = scores[0]!;
  if (plan.attributes.includes("expression")) {
    const decision = best.score < plan.minConfidence ? "uncertain" : "certain";
    answer.expression = { ...best, decision, scores };
    const thresholds = spec.calibration?.conformal?.thresholds;
    if (plan.coverage !== undefined && thresholds) {
      answer.expression.labelSet = labelSet(scores, thresholds, plan.coverage);
    }
    Object.assign(
      answer.expression,
      readCues(spec, outputs, index, best.label),
    );
  }
  const { explain: method } = plan;
  if (method !== "none" && spec.explanations?.includes(method)) {
    const output = outputs[mapOutput(spec, method)]!;
    const map = output.dims[1] === labels.length
      ? evidenceMap(output, index, labels.indexOf(best.label))
      : planeMap(output, index);
    const { label } = best, side = Number(spec.inputs[0]!.shape[3]);
    answer.explanation = await clock.time(
      "explainMs",
      () => explain({ ...map, method, label, face: samples, side }),
    );
  }
  return answer;
}

/** One face's calibrated scores, best first. */
export function scoresOf(
  spec: ModelSpec,
  outputs: Record<string, Tensor>,
  index: number,
): Score<ExpressionLabel>[] {
  const logits = row(outputs.logits!, index);
  return rank(
    servedLabels(spec),
    softmax(logits, spec.calibration?.temperature),
  );
}

/** A model as an answer names it, with the terms of all the data the answer rests on. */
export function describeModel(
  spec: ModelSpec,
  others: readonly ModelSpec[],
): Pick<
  Provenance,
  "model" | "version" | "sha256" | "license" | "dataLicense"
> {
  const { name, version, sha256, license } = spec;
  const terms = [spec, ...others].flatMap((spec) => spec.dataLicense ?? []);
  return {
    model: name,
    version,
    sha256,
    license,
    ...(terms.length > 0 ? { dataLicense: terms.join("; ") } : {}),
  };
}

/** The aligned face as quality is judged on it, whatever the model's own input: gray, one size. */
function qualityView(
  { spec, maps, samples }: AlignedFaces,
  face: number,
  { image }: Scaled,
): Float32Array {
  const { color, shape } = spec.inputs[0]!, size = Number(shape[3]);
  if (color === "gray" && size === QUALITY_SIDE) return samples[face]!;
  const { a, b, tx, ty } = maps[face]!, unit = size / QUALITY_SIDE;
  const shift = (unit - 1) / 2;
  const map = {
    a: a * unit,
    b: b * unit,
    tx: tx + a * shift - b * shift,
    ty: ty + b * shift + a * shift,
  };
  return warp(image, map, QUALITY_SIDE, QUALITY_SIDE, "gray");
}

/** Share of an aligned face, on a grid of 16 x 16 points, that lies outside the picture. */
function shareOutside(
  map: Similarity,
  size: number,
  image: RawImage,
): number {
  const points = 16;
  let outside = 0;
  for (let i = 0; i < points * points; i++) {
    const x = (i % points + 0.5) / points,
      y = (Math.floor(i / points) + 0.5) / points;
    const at = unproject(map, x, y, size);
    if (at.x < 0 || at.y < 0 || at.x > image.width || at.y > image.height) {
      outside++;
    }
  }
  return outside / points ** 2;
}
