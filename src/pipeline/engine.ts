import type { Analysis, Face, ImageLimits, Landmarks } from "../types.ts";
import type { Backend } from "./backend.ts";
import { Clock } from "./clock.ts";
import { detect, type Scaled } from "./detect.ts";
import { PipelineError } from "./error.ts";
import { describeFace, shareOutside } from "./face.ts";
import { type ImageHeader, readHeader } from "./header.ts";
import { type RawImage, type Similarity, warp } from "./image.ts";
import { locate, type LocatedFace } from "./landmarks.ts";
import type { ModelSpec, ModelStore } from "./manifest.ts";
import type { Plan } from "./options.ts";
import { type Tensor, toLandmarks } from "./postprocess.ts";
import { align, LANDMARK_ORDER, scaleInto } from "./preprocess.ts";

/** What the engine answers; the pipeline adds the request's id. */
export type EngineAnswer = Omit<Analysis, "requestId">;

/** Image work: bytes in, faces out. One interface in process and behind a pool of Workers. */
export interface Engine {
  /**
   * Analyses one image.
   *
   * @throws {PipelineError} with a code of the contract
   */
  analyze(
    bytes: Uint8Array,
    plan: Plan,
    signal?: AbortSignal,
  ): Promise<EngineAnswer>;
  /** Loads the models of a plain analysis and the ones named, and runs each once. */
  warm(models: readonly string[]): Promise<void>;
  /** Frees every session. */
  close(): Promise<void>;
}

/** What an engine is composed of. */
export interface EngineParts {
  models: ModelStore;
  backend: Backend;
  /** Bytes to an upright picture whose longest side has at least so many pixels. */
  decode(
    bytes: Uint8Array,
    header: ImageHeader,
    options?: { longestSide?: number },
  ): Promise<RawImage>;
  limits: ImageLimits;
}

/** Longest side of the first decode: enough for both looks and for all but small faces. */
const FIRST_DECODE = 640;
/** Picture pixels a face's box should span before it is read: the resolution of the training tiles. */
const FACE_PIXELS = 40;
/** Detections to which the landmark net gives less than this probability of a face are dropped. */
const MIN_PRESENCE = 0.2;

/** An engine in this thread. */
export function createEngine(parts: EngineParts): Engine {
  const { models, backend } = parts;
  const detector = models.forTask("faceDetection"),
    landmarker = models.forTask("faceLandmarks");

  /** Faces of a photo and the picture to read them from. */
  async function findFaces(
    bytes: Uint8Array,
    header: ImageHeader,
    plan: Plan,
    clock: Clock,
    signal: AbortSignal | undefined,
  ): Promise<{ faces: LocatedFace[]; picture: Scaled }> {
    const full = Math.max(header.upright.width, header.upright.height);
    let current: Scaled | undefined;
    async function picture(longestSide: number): Promise<Scaled> {
      const wanted = Math.min(full, Math.max(FIRST_DECODE, longestSide));
      const have = current &&
        Math.max(current.image.width, current.image.height);
      if (current && have! >= wanted) return current;
      const image = await clock.time(
        "decodeMs",
        () => parts.decode(bytes, header, { longestSide: wanted }),
      );
      const scale = header.upright.width >= header.upright.height
        ? header.upright.width / image.width
        : header.upright.height / image.height;
      return current = { image, scale };
    }
    await picture(FIRST_DECODE);
    const context = signal ? { backend, signal } : { backend };
    const detected = await clock.time("detectMs", () =>
      detect({
        ...context,
        spec: detector,
        minScore: plan.minDetectionConfidence,
        picture,
      }));
    const kept = detected.slice(0, plan.maxFaces);
    if (kept.length === 0) return { faces: [], picture: current! };
    const smallest = Math.min(
      ...kept.map(({ boundingBox: box }) => Math.max(box.width, box.height)),
    );
    const source = await picture(Math.ceil(full * FACE_PIXELS / smallest));
    const faces = await clock.time(
      "alignMs",
      () => locate(kept, source, { ...context, spec: landmarker }),
    );
    return {
      faces: faces.filter((face) => face.presence >= MIN_PRESENCE),
      picture: source,
    };
  }

  async function analyze(
    bytes: Uint8Array,
    plan: Plan,
    signal?: AbortSignal,
  ): Promise<EngineAnswer> {
    const clock = new Clock();
    const header = readHeader(bytes, parts.limits);
    const spec = models.get(plan.model);
    const input = spec.inputs[0]!, size = Number(input.shape[3]);
    const { faces, picture } = plan.input === "crop"
      ? await cropAsFace(bytes, header, spec, clock)
      : await findFaces(bytes, header, plan, clock, signal);
    const maps = faces.map((face) => alignment(face.landmarks, spec, picture));
    const aligned = await clock.time(
      "alignMs",
      () =>
        maps.map((map) => warp(picture.image, map, size, size, input.color)),
    );
    const outputs = await clock.time(
      "classifyMs",
      () => classify(spec, plan, aligned, signal),
    );
    const answer: Face[] = [];
    for (const [index, face] of faces.entries()) {
      answer.push(
        await describeFace({
          face,
          index,
          plan,
          spec,
          outputs,
          clock,
          image: header.upright,
          samples: aligned[index]!,
          outside: shareOutside(maps[index]!, size, picture.image),
        }),
      );
    }
    const { width, height } = header.upright;
    return {
      image: {
        width,
        height,
        orientation: header.orientation,
        type: header.type,
      },
      faces: answer,
      timing: clock.read(),
    };
  }

  async function cropAsFace(
    bytes: Uint8Array,
    header: ImageHeader,
    spec: ModelSpec,
    clock: Clock,
  ): Promise<{ faces: LocatedFace[]; picture: Scaled }> {
    const { width, height } = header.upright;
    if (width !== height) {
      throw new PipelineError(
        "invalid_request",
        `input=crop needs a square picture of one aligned face: this one is ${width}x${height}`,
      );
    }
    const image = await clock.time(
      "decodeMs",
      () => parts.decode(bytes, header),
    );
    const template = spec.inputs[0]!.template!;
    const landmarks = toLandmarks((k) => {
      const [x, y] = template[LANDMARK_ORDER[k]!];
      return { x: x * width, y: y * height };
    });
    const boundingBox = { x: 0, y: 0, width, height };
    return {
      faces: [{ boundingBox, score: 1, landmarks, presence: 1 }],
      picture: { image, scale: 1 },
    };
  }

  async function classify(
    spec: ModelSpec,
    plan: Plan,
    aligned: readonly Float32Array[],
    signal: AbortSignal | undefined,
  ): Promise<Record<string, Tensor>> {
    if (aligned.length === 0 || !needsModel(plan)) return {};
    const input = spec.inputs[0]!, length = aligned[0]!.length;
    const data = new Float32Array(aligned.length * length);
    aligned.forEach((samples, index) =>
      scaleInto(samples, input, data, index * length)
    );
    const dims = [aligned.length, ...input.shape.slice(1).map(Number)];
    const outputs = plan.explain === "none"
      ? ["logits"]
      : ["logits", plan.explain];
    return await backend.run(
      spec.name,
      { [input.name]: { data, dims } },
      signal ? { outputs, signal } : { outputs },
    );
  }

  return {
    analyze,
    async warm(names) {
      for (
        const spec of [
          detector,
          landmarker,
          ...names.map((name) => models.get(name)),
        ]
      ) {
        const input = spec.inputs[0]!;
        const dims = input.shape.map((side) =>
          typeof side === "number" ? side : 0
        );
        const shape = spec === detector
          ? [1, 3, 224, 320]
          : [1, ...dims.slice(1)];
        const data = new Float32Array(
          shape.reduce((product, side) => product * side, 1),
        );
        await backend.run(spec.name, { [input.name]: { data, dims: shape } });
      }
    },
    close: () => backend.close(),
  };
}

/** The map from a model's input to the picture for a face whose points are in full-size pixels. */
function alignment(
  landmarks: Landmarks,
  spec: ModelSpec,
  { scale }: Scaled,
): Similarity {
  const points = toLandmarks((k) => {
    const { x, y } = landmarks[LANDMARK_ORDER[k]!];
    return { x: x / scale, y: y / scale };
  });
  const input = spec.inputs[0]!;
  return align(points, input.template!, Number(input.shape[3]));
}

function needsModel(plan: Plan): boolean {
  return plan.attributes.includes("expression") || plan.explain !== "none";
}
