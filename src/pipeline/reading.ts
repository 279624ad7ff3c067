import type { ExplanationMethod, Landmarks } from "../types.ts";
import type { Backend } from "./backend.ts";
import type { Scaled } from "./detect.ts";
import { type Similarity, warp } from "./image.ts";
import type { LocatedFace } from "./landmarks.ts";
import { graphIo, type ModelSpec } from "./manifest.ts";
import type { Plan } from "./options.ts";
import { type Tensor, toLandmarks } from "./postprocess.ts";
import {
  align,
  type InputSpec,
  LANDMARK_ORDER,
  scaleInto,
} from "./preprocess.ts";

/** All faces of an image as one model sees them. */
export interface AlignedFaces {
  spec: ModelSpec;
  /** The model's input to the picture, face by face. */
  maps: Similarity[];
  /** Samples of each aligned face, 0 to 255. */
  samples: Float32Array[];
}

/** One aligned face that another machine may read. */
export interface Crop {
  /** Its place among the image's faces. */
  face: number;
  /** Calibrated score of the label it was given here; absent when it was not read. */
  score?: number;
  /** Samples 0 to 255 as each model sees them, by the model's name. */
  samples: Record<string, Float32Array>;
}

/** Brings every face to a model's template. */
export function alignFaces(
  faces: readonly LocatedFace[],
  spec: ModelSpec,
  picture: Scaled,
): AlignedFaces {
  const { color, shape, template } = spec.inputs[0]!;
  const size = Number(shape[3]);
  const maps = faces.map(({ landmarks }) =>
    align(inPicture(landmarks, picture.scale), template!, size)
  );
  const samples = maps.map((map) =>
    warp(picture.image, map, size, size, color)
  );
  return { spec, maps, samples };
}

/**
 * The map of a heatmap method that has a graph of its own: guided backpropagation, Grad-CAM. Speaks
 * for each face's winning logit.
 *
 * @param outputs What the model said of the faces: its logits, and what the graph takes of it.
 */
export async function readGraph(
  aligned: AlignedFaces,
  method: ExplanationMethod,
  outputs: Record<string, Tensor>,
  context: { backend: Backend; signal?: AbortSignal },
): Promise<Tensor> {
  const { spec } = aligned, { dims } = outputs.logits!;
  const target = new Float32Array(outputs.logits!.data.length);
  for (let face = 0; face < dims[0]!; face++) {
    const values = row(outputs.logits!, face);
    row({ data: target, dims }, face)[values.indexOf(Math.max(...values))] = 1;
  }
  const { inputs, outputs: [map] } = graphIo(spec, method);
  const known: Record<string, Tensor> = {
    ...outputs,
    ...(inputs.includes(spec.inputs[0]!.name) ? batch(aligned) : {}),
    target: { data: target, dims },
  };
  const feeds = Object.fromEntries(inputs.map((name) => [name, known[name]!]));
  const result = await context.backend.run(
    `${spec.name}#${method}`,
    feeds,
    context.signal ? { signal: context.signal } : {},
  );
  return result[map!]!;
}

/** The outputs of a model that an answer to a plan is made from. */
export function neededOutputs(plan: Plan, spec: ModelSpec): readonly string[] {
  const { certainty, typicality } = spec.calibration ?? {};
  const cues = plan.attributes.includes("expression")
    ? [certainty, typicality].flatMap((cue) => cue?.output ?? [])
    : [];
  const { explain } = plan;
  if (explain === "none" || !spec.explanations?.includes(explain)) {
    return ["logits", ...cues];
  }
  const further = spec.graphs?.[explain]
    ? graphIo(spec, explain).inputs
    : [mapOutput(spec, explain)];
  const given = new Set(spec.outputs.map(({ name }) => name));
  return ["logits", ...further.filter((name) => given.has(name)), ...cues];
}

/** Under which name a heatmap method's map is found: the output that explains so, or the method's own. */
export function mapOutput(spec: ModelSpec, method: ExplanationMethod): string {
  return spec.outputs.find(({ explains }) => explains === method)?.name ??
    method;
}

/** Runs a model on all its aligned faces as one batch. */
export async function readFaces(
  aligned: Pick<AlignedFaces, "spec" | "samples">,
  outputs: readonly string[],
  context: { backend: Pick<Backend, "run">; signal?: AbortSignal },
): Promise<Record<string, Tensor>> {
  const { backend, signal } = context;
  return await backend.run(
    aligned.spec.name,
    batch(aligned),
    signal ? { outputs, signal } : { outputs },
  );
}

/** One of the model's inputs: every face's samples, scaled as the model wants them. */
export function batch(
  { spec, samples }: Pick<AlignedFaces, "spec" | "samples">,
  input: InputSpec = spec.inputs[0]!,
): Record<string, Tensor> {
  const length = samples[0]!.length;
  const data = new Float32Array(samples.length * length);
  samples.forEach((face, index) =>
    scaleInto(face, input, data, index * length)
  );
  const dims = [samples.length, ...input.shape.slice(1).map(Number)];
  return { [input.name]: { data, dims } };
}

/** One face's row of an output whose first axis is the batch. */
export function row({ data, dims }: Tensor, face: number): Float32Array {
  const length = data.length / dims[0]!;
  return data.subarray(face * length, (face + 1) * length);
}

function inPicture(landmarks: Landmarks, scale: number): Landmarks {
  return toLandmarks((k) => {
    const { x, y } = landmarks[LANDMARK_ORDER[k]!];
    return { x: x / scale, y: y / scale };
  });
}
