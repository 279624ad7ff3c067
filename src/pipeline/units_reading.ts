import type { Face } from "../types.ts";
import { inconsistencies, toActionUnits } from "./action_units.ts";
import type { Backend } from "./backend.ts";
import type { Clock } from "./clock.ts";
import type { Scaled } from "./detect.ts";
import { explain } from "./explain.ts";
import type { LocatedFace } from "./landmarks.ts";
import type { ModelSpec, OutputSpec } from "./manifest.ts";
import type { Plan } from "./options.ts";
import type { Tensor } from "./postprocess.ts";
import { alignFaces, batch, row } from "./reading.ts";

/** A face and the picture it is in. */
export interface FoundFace {
  face: LocatedFace;
  picture: Scaled;
}

/** What the action-unit model said of all faces. */
export interface UnitsReading {
  spec: ModelSpec;
  logits: Tensor;
  /** Five binary maps per face: where it differs from its reference, by rising threshold. */
  maps: Tensor;
  /** Samples of each aligned face, 0 to 255. */
  samples: Float32Array[];
  /** Whether a neutral was given; it serves the first face, which is the largest. */
  provided: boolean;
}

/**
 * Runs the model on all faces as one batch. A face without a neutral is its own reference: no
 * difference, so that the answer is that of the net without maps.
 */
export async function readUnits(
  spec: ModelSpec,
  { faces, picture, neutral }: {
    faces: readonly LocatedFace[];
    picture: Scaled;
    neutral?: FoundFace;
  },
  { backend, signal }: { backend: Backend; signal?: AbortSignal },
  clock: Clock,
): Promise<UnitsReading> {
  const aligned = alignFaces(faces, spec, picture);
  const references = [...aligned.samples];
  if (neutral) {
    const { samples } = alignFaces([neutral.face], spec, neutral.picture);
    references[0] = samples[0]!;
  }
  const [first, second] = spec.inputs;
  const feeds = {
    ...batch(aligned, first!),
    ...batch({ ...aligned, samples: references }, second!),
  };
  const { logits, maps } = await clock.time(
    "classifyMs",
    () => backend.run(spec.name, feeds, signal ? { signal } : {}),
  );
  return {
    spec,
    logits: logits!,
    maps: maps!,
    samples: aligned.samples,
    provided: neutral !== undefined,
  };
}

/** Adds a face's action units to its answer, and what goes with them. */
export async function addUnits(
  face: Face,
  index: number,
  reading: UnitsReading,
  plan: Plan,
  clock: Clock,
): Promise<void> {
  const { spec, provided } = reading;
  const output = spec.outputs[0]!;
  face.actionUnits = toActionUnits(row(reading.logits, index), output);
  face.actionUnitReference = provided && index === 0 ? "provided" : "none";
  addConsistency(face, output);
  if (plan.explain === "difference") {
    const map = {
      ...nested(reading.maps, index),
      method: "difference" as const,
      label: "change",
      face: reading.samples[index]!,
      side: Number(spec.inputs[0]!.shape[3]),
    };
    face.explanation = await clock.time("explainMs", () => explain(map));
  }
  const { provenance } = face, { dataLicense } = spec;
  if (dataLicense) {
    const terms = provenance.dataLicense;
    provenance.dataLicense = terms ? `${terms}; ${dataLicense}` : dataLicense;
  }
}

/** Sets `consistency` of a face that has both an expression and action units. */
export function addConsistency(face: Face, output: OutputSpec): void {
  const { expression, actionUnits } = face;
  if (!expression || !actionUnits) return;
  face.consistency = inconsistencies(expression, actionUnits, output);
}

/** One face's nested maps as one: how many of the thresholds each sample passes. */
function nested(
  { data, dims }: Tensor,
  face: number,
): { values: Float32Array; width: number; height: number } {
  const [, count, height, width] = dims as [number, number, number, number];
  const area = height * width, values = new Float32Array(area);
  for (let map = 0; map < count; map++) {
    const start = (face * count + map) * area;
    for (let i = 0; i < area; i++) values[i]! += data[start + i]!;
  }
  return { values, width, height };
}
