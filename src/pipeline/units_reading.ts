import type { Face } from "../types.ts";
import { inconsistencies, toActionUnits } from "./action_units.ts";
import type { Backend } from "./backend.ts";
import type { Clock } from "./clock.ts";
import type { Scaled } from "./detect.ts";
import { explain } from "./explain.ts";
import type { LocatedFace } from "./landmarks.ts";
import { type KnownFaces, type Look, referencesFor } from "./look.ts";
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
  /** What each face was read against. */
  references: NonNullable<Face["actionUnitReference"]>[];
  /** How each face looks, for the frames that follow; absent outside of a stream. */
  looks?: Look[];
}

/**
 * Runs the model on all faces as one batch. A neutral serves the first face, which is the largest;
 * in a stream a face's own calm look serves it. A face with neither is its own reference: no
 * difference, so that the answer is that of the net without maps.
 */
export async function readUnits(
  spec: ModelSpec,
  { faces, picture, neutral, known }: {
    faces: readonly LocatedFace[];
    picture: Scaled;
    neutral?: FoundFace;
    known?: KnownFaces;
  },
  { backend, signal }: { backend: Backend; signal?: AbortSignal },
  clock: Clock,
): Promise<UnitsReading> {
  const aligned = alignFaces(faces, spec, picture);
  const references = aligned.samples.map((samples) => ({
    kind: "none" as UnitsReading["references"][number],
    samples,
  }));
  const looks = known && aligned.samples.map(toLook);
  if (known && looks) {
    const running = referencesFor(faces, looks, known);
    for (const [index, look] of running.entries()) {
      if (!look) continue;
      const samples = Float32Array.from(look);
      references[index] = { kind: "running", samples };
    }
  }
  if (neutral) {
    const { samples } = alignFaces([neutral.face], spec, neutral.picture);
    references[0] = { kind: "provided", samples: samples[0]! };
  }
  const [first, second] = spec.inputs;
  const feeds = {
    ...batch(aligned, first!),
    ...batch(
      { ...aligned, samples: references.map(({ samples }) => samples) },
      second!,
    ),
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
    references: references.map(({ kind }) => kind),
    ...(looks ? { looks } : {}),
  };
}

function toLook(samples: Float32Array): Look {
  return Uint8Array.from(samples, Math.round);
}

/** Adds a face's action units to its answer, and what goes with them. */
export async function addUnits(
  face: Face,
  index: number,
  reading: UnitsReading,
  plan: Plan,
  clock: Clock,
): Promise<void> {
  const { spec } = reading;
  const output = spec.outputs[0]!;
  face.actionUnits = toActionUnits(row(reading.logits, index), output);
  face.actionUnitReference = reading.references[index]!;
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
