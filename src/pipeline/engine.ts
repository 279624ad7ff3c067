import type { Analysis, Face, ImageLimits } from "../types.ts";
import type { Backend } from "./backend.ts";
import { Clock, type Interval } from "./clock.ts";
import { detect, type Scaled } from "./detect.ts";
import { PipelineError } from "./error.ts";
import { describeFace, type GenderReading, scoresOf } from "./face.ts";
import { follow } from "./follow.ts";
import { headerOf, type ImageHeader, readHeader } from "./header.ts";
import type { RawImage } from "./image.ts";
import { locate, type LocatedFace } from "./landmarks.ts";
import type { Look } from "./look.ts";
import type { ModelSpec, ModelStore } from "./manifest.ts";
import type { HandOver, Plan } from "./options.ts";
import { openPicture } from "./picture.ts";
import { type Detection, type Tensor, toLandmarks } from "./postprocess.ts";
import { LANDMARK_ORDER } from "./preprocess.ts";
import {
  type AlignedFaces,
  alignFaces,
  type Crop,
  neededOutputs,
  readFaces,
  readGraph,
} from "./reading.ts";
import { rehearse } from "./rehearse.ts";
import { addUnits, type FoundFace, readUnits } from "./units_reading.ts";

/** What the engine answers; the pipeline adds the request's id. */
export type EngineAnswer = Omit<Analysis, "requestId"> & {
  /** The faces that the plan hands over. */
  crops?: Crop[];
  /** When each stage ran, where the plan asks. */
  intervals?: readonly Interval[];
  /** How each face looks, where the plan has faces of the frames before and reads action units. */
  looks?: Look[];
};

/** Image work: bytes in, faces out. One interface in process and behind a pool of Workers. */
export interface Engine {
  /**
   * Analyses one image: the bytes of a file, or pixels.
   *
   * @throws {PipelineError} with a code of the contract
   */
  analyze(
    bytes: Uint8Array | RawImage,
    plan: Plan,
    signal?: AbortSignal,
  ): Promise<EngineAnswer>;
  /** Runs one model on tensors as they are. */
  run: Backend["run"];
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

/** Picture pixels a face's box should span before it is read: the resolution of the training tiles. */
const FACE_PIXELS = 40;
/** Detections to which the landmark net gives less than this probability of a face are dropped. */
const MIN_PRESENCE = 0.5;

/** An engine in this thread. */
export function createEngine(parts: EngineParts): Engine {
  const { models, backend } = parts;
  const detector = models.forTask("faceDetection"),
    landmarker = models.forTask("faceLandmarks");

  async function decode(
    bytes: Uint8Array | RawImage,
    header: ImageHeader,
    options?: { longestSide?: number },
  ): Promise<RawImage> {
    return bytes instanceof Uint8Array
      ? await parts.decode(bytes, header, options)
      : bytes;
  }

  /** Faces of a photo and the picture to read them from. */
  async function findFaces(
    bytes: Uint8Array | RawImage,
    header: ImageHeader,
    plan: Plan,
    clock: Clock,
    signal: AbortSignal | undefined,
  ): Promise<{ faces: LocatedFace[]; picture: Scaled }> {
    const full = Math.max(header.upright.width, header.upright.height);
    /** The longest side at which the smallest face has pixels enough. */
    function resolution(faces: readonly Detection[]): number {
      const smallest = Math.min(
        ...faces.map(({ boundingBox: box }) => Math.max(box.width, box.height)),
      );
      return Math.ceil(full * FACE_PIXELS / smallest);
    }
    const picture = openPicture(
      header,
      (options) => decode(bytes, header, options),
      clock,
    );
    const context = signal ? { backend, signal } : { backend };
    if (plan.follow?.length) {
      const known = plan.follow;
      const source = await picture(resolution(known));
      const faces = await clock.time(
        "alignMs",
        () => follow(known, source, { ...context, spec: landmarker }),
      );
      if (faces) return { faces, picture: source };
    }
    const detected = await clock.time("detectMs", () =>
      detect({
        ...context,
        spec: detector,
        minScore: plan.minDetectionConfidence,
        picture,
      }));
    const kept = detected.slice(0, plan.maxFaces);
    if (kept.length === 0) return { faces: [], picture: await picture(0) };
    const source = await picture(resolution(kept));
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
    bytes: Uint8Array | RawImage,
    plan: Plan,
    signal?: AbortSignal,
  ): Promise<EngineAnswer> {
    const clock = new Clock();
    const header = open(bytes);
    const spec = models.get(plan.model), { handOver } = plan;
    const { faces, picture } = plan.input === "crop"
      ? await cropAsFace(bytes, header, spec, clock)
      : await findFaces(bytes, header, plan, clock, signal);
    const aligned = await clock.time(
      "alignMs",
      () => alignFaces(faces, spec, picture),
    );
    const context = signal ? { backend, signal } : { backend };
    const wanted = neededOutputs(plan, spec);
    const reads = needsExpression(plan) && faces.length > 0;
    const expression = reads && handOver?.below !== Infinity
      ? await clock.time(
        "classifyMs",
        () => readFaces(aligned, wanted, context),
      )
      : undefined;
    const gender = plan.attributes.includes("gender") && faces.length > 0
      ? await clock.time(
        "classifyMs",
        () => readGender(faces, picture, context),
      )
      : undefined;
    const units = plan.attributes.includes("actionUnits") && faces.length > 0
      ? await readUnits(
        models.forTask("actionUnits"),
        {
          faces,
          picture,
          ...(plan.known ? { known: plan.known } : {}),
          ...(plan.neutral
            ? { neutral: await findNeutral(plan.neutral, plan, clock, signal) }
            : {}),
        },
        context,
        clock,
      )
      : undefined;
    const method = plan.explain;
    if (expression && method !== "none" && spec.graphs?.[method]) {
      expression[method] = await clock.time(
        "explainMs",
        () => readGraph(aligned, method, expression, context),
      );
    }
    const answer: Face[] = [];
    for (const [index, face] of faces.entries()) {
      answer.push(
        await describeFace({
          face,
          index,
          plan,
          clock,
          aligned,
          picture,
          image: header.upright,
          ...(expression ? { expression } : {}),
          ...(gender ? { gender } : {}),
        }),
      );
      if (units) await addUnits(answer.at(-1)!, index, units, plan, clock);
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
      ...(units?.looks ? { looks: units.looks } : {}),
      ...(handOver && reads
        ? {
          crops: await clock.time(
            "alignMs",
            () => cut(handOver, faces, aligned, picture, expression),
          ),
        }
        : {}),
      ...(plan.trace ? { intervals: clock.intervals } : {}),
      timing: clock.read(),
    };
  }

  /** The faces a plan hands over, aligned for each of its models. */
  function cut(
    { below, models: names }: HandOver,
    faces: readonly LocatedFace[],
    aligned: AlignedFaces,
    picture: Scaled,
    expression: Record<string, Tensor> | undefined,
  ): Crop[] {
    const crops: Crop[] = faces.map((_, face) => ({
      face,
      samples: {},
      ...(expression
        ? { score: scoresOf(aligned.spec, expression, face)[0]!.score }
        : {}),
    }));
    const chosen = crops.filter(({ score }) => (score ?? 0) < below);
    for (const name of chosen.length > 0 ? names : []) {
      const samples = name === aligned.spec.name
        ? chosen.map(({ face }) => aligned.samples[face]!)
        : alignFaces(
          chosen.map(({ face }) => faces[face]!),
          models.get(name),
          picture,
        ).samples;
      chosen.forEach((crop, index) => crop.samples[name] = samples[index]!);
    }
    return chosen;
  }

  function open(image: Uint8Array | RawImage): ImageHeader {
    return image instanceof Uint8Array
      ? readHeader(image, parts.limits)
      : headerOf(image, parts.limits);
  }

  /** The largest face of the neutral photo. */
  async function findNeutral(
    bytes: Uint8Array | RawImage,
    { follow: _follow, ...plan }: Plan,
    clock: Clock,
    signal: AbortSignal | undefined,
  ): Promise<FoundFace> {
    try {
      const header = open(bytes);
      const spec = models.forTask("actionUnits");
      const { faces: [face], picture } = plan.input === "crop"
        ? await cropAsFace(bytes, header, spec, clock)
        : await findFaces(bytes, header, plan, clock, signal);
      if (face) return { face, picture };
    } catch (error) {
      if (!(error instanceof PipelineError)) throw error;
      const { code, message } = error;
      throw new PipelineError(code, `neutral: ${message}`, { cause: error });
    }
    throw new PipelineError(
      "no_face_in_neutral",
      "The neutral photo shows no face: send one that does, or leave it out",
    );
  }

  async function readGender(
    faces: readonly LocatedFace[],
    picture: Scaled,
    context: { backend: Backend; signal?: AbortSignal },
  ): Promise<GenderReading> {
    const spec = models.forTask("gender");
    const aligned = alignFaces(faces, spec, picture);
    const { logits } = await readFaces(aligned, ["logits"], context);
    return { spec, logits: logits! };
  }

  async function cropAsFace(
    bytes: Uint8Array | RawImage,
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
      () => decode(bytes, header),
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

  return {
    analyze,
    run: (model, feeds, options) => backend.run(model, feeds, options),
    async warm(names) {
      rehearse(detector.inputs[0]!, landmarker.inputs[0]!);
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

function needsExpression(plan: Plan): boolean {
  return plan.attributes.includes("expression") ||
    plan.explain !== "none" && plan.explain !== "difference";
}
