import type { Face } from "../types.ts";
import type { Clock } from "./clock.ts";
import { evidenceMap, explain } from "./explain.ts";
import type { RawImage, Similarity } from "./image.ts";
import type { LocatedFace } from "./landmarks.ts";
import { type ModelSpec, servedLabels } from "./manifest.ts";
import type { Plan } from "./options.ts";
import { labelSet, rank, roll, softmax, type Tensor } from "./postprocess.ts";
import { unproject } from "./preprocess.ts";
import { judgeQuality } from "./quality.ts";

/** Everything known of one face once the models have run. */
export interface FaceFacts {
  face: LocatedFace;
  /** Its place in the batch. */
  index: number;
  plan: Plan;
  spec: ModelSpec;
  /** Size of the upright image. */
  image: { width: number; height: number };
  outputs: Record<string, Tensor>;
  /** Gray samples of the aligned face, 0 to 255. */
  samples: Float32Array;
  /** Share of the aligned face outside the picture, 0 to 1. */
  outside: number;
  clock: Clock;
}

/** One face as the contract has it. */
export async function describeFace(input: FaceFacts): Promise<Face> {
  const { face, index, plan, spec, outputs } = input;
  const { width, height } = input.image;
  const { boundingBox: box, landmarks } = face;
  const { samples } = input, side = Number(spec.inputs[0]!.shape[3]);
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
      model: spec.name,
      version: spec.version,
      sha256: spec.sha256,
      license: spec.license,
      ...(spec.dataLicense ? { dataLicense: spec.dataLicense } : {}),
      backend: "wasm",
      input: plan.input,
      escalated: false,
      fallback: null,
    },
  };
  if (plan.attributes.includes("landmarks")) answer.landmarks = landmarks;
  if (plan.attributes.includes("quality")) {
    const gray = samples.subarray(0, side * side);
    answer.quality = judgeQuality({
      face: gray,
      side,
      landmarks,
      boundingBox: box,
      outside: input.outside,
    });
  }
  if (!outputs.logits) return answer;
  const labels = servedLabels(spec), classes = labels.length;
  const logits = outputs.logits.data.subarray(
    index * classes,
    (index + 1) * classes,
  );
  const scores = rank(labels, softmax(logits, spec.calibration?.temperature));
  const best = scores[0]!;
  if (plan.attributes.includes("expression")) {
    const decision = best.score < plan.minConfidence ? "uncertain" : "certain";
    answer.expression = { ...best, decision, scores };
    if (plan.coverage !== undefined) {
      const { thresholds } = spec.calibration!.conformal!;
      answer.expression.labelSet = labelSet(scores, thresholds, plan.coverage);
    }
  }
  if (plan.explain === "evidence") {
    const map = evidenceMap(
      outputs.evidence!,
      index,
      labels.indexOf(best.label),
    );
    answer.explanation = await input.clock.time(
      "explainMs",
      () =>
        explain({
          ...map,
          method: "evidence",
          label: best.label,
          face: samples,
          side,
        }),
    );
  }
  return answer;
}

/** Share of an aligned face, on a grid of 16 x 16 points, that lies outside the picture. */
export function shareOutside(
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
