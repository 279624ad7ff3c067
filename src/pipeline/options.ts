import type {
  AnalyzeOptions,
  Attribute,
  ExplanationMethod,
  Face,
} from "../types.ts";
import { PipelineError } from "./error.ts";
import type { RawImage } from "./image.ts";
import type { KnownFaces } from "./look.ts";
import type { ModelSpec, ModelStore } from "./manifest.ts";
import type { Detection } from "./postprocess.ts";

/** Options with every default filled in and every name resolved. */
export interface Plan {
  attributes: readonly Attribute[];
  /** The expression model. */
  model: string;
  explain: "none" | ExplanationMethod;
  maxFaces: number;
  minDetectionConfidence: number;
  minConfidence: number;
  /** Of `labelSet`; absent when none was asked for. */
  coverage?: number;
  input: "photo" | "crop";
  /** The same person's relaxed face, the reference for action units. */
  neutral?: Uint8Array | RawImage;
  route: "auto" | "edge" | "gpu";
  /** Faces to be handed over for another machine to read; absent when none is. */
  handOver?: HandOver;
  /** Faces of the frame before, in full-size upright pixels: the detector runs only where one is lost. */
  follow?: readonly Detection[];
  /** The answer is to tell when each stage ran. */
  trace?: boolean;
  /** In a stream: faces of the frames before, whose calm looks serve as references. */
  known?: KnownFaces;
}

/** Which faces leave the engine as aligned crops, and for whom. */
export interface HandOver {
  /** Faces read with a lower score; `Infinity` leaves every face unread. */
  below: number;
  /** Models the crops are aligned for. */
  models: readonly string[];
}

/** Every attribute of the contract, in the order the documentation lists them. */
export const ATTRIBUTES: readonly Attribute[] = [
  "expression",
  "actionUnits",
  "gender",
  "landmarks",
  "quality",
];

/** Every heatmap method of the contract. */
export const EXPLANATIONS = [
  "evidence",
  "gradCam",
  "guidedBackprop",
  "attention",
  "difference",
] as const satisfies readonly ExplanationMethod[];

/**
 * Fills in defaults and checks what the schema cannot: that models and methods exist here.
 *
 * @param options What the caller asked for, already of the right types and ranges.
 * @param models The models at hand.
 * @param auto The model that `auto` means.
 * @param remote The models a GPU server has.
 * @throws {PipelineError} `unknown_model`, `unsupported_option` or `gpu_unavailable`
 */
export function resolveOptions(
  options: AnalyzeOptions,
  models: ModelStore,
  auto: string,
  remote: readonly string[] = [],
): Plan {
  const attributes = resolveAttributes(
    options.attributes ?? ["expression"],
    models,
  );
  const route = options.route ?? "auto";
  const asked = options.model ?? "auto";
  const spec = models.find(asked === "auto" ? auto : asked);
  if (!spec || spec.task !== "expression") {
    const names = expressionModels(models).map((spec) => spec.name).join(", ");
    throw new PipelineError(
      "unknown_model",
      `Cannot find the model "${asked}": use auto, ${names}`,
    );
  }
  checkRoute(route, spec, remote, models);
  const explain = options.explain ?? "none";
  if (explain === "difference") {
    if (!attributes.includes("actionUnits")) {
      throw unsupported(
        "explain=difference shows what action units are read from: add actionUnits to attributes",
      );
    }
  } else if (explain !== "none" && !spec.explanations?.includes(explain)) {
    const able = expressionModels(models)
      .filter((spec) => spec.explanations?.includes(explain)).map((spec) =>
        spec.name
      );
    const offer = `${spec.name} offers ${
      ["none", ...(spec.explanations ?? [])].join(", ")
    }`;
    const others = able.length
      ? `explain=${explain} needs one of ${able.join(", ")}`
      : offer;
    throw unsupported(
      `explain=${explain} is not available for ${spec.name}: ${others}`,
    );
  }
  if (route === "gpu" && spec.graphs?.[explain]) {
    throw unsupported(
      `explain=${explain} is computed at the edge only: use route=auto or edge`,
    );
  }
  if (options.coverage !== undefined && !spec.calibration?.conformal) {
    throw unsupported(
      `coverage is not calibrated for ${spec.name}: leave it out`,
    );
  }
  return {
    attributes,
    model: spec.name,
    explain,
    maxFaces: options.maxFaces ?? 20,
    minDetectionConfidence: options.minDetectionConfidence ?? 0.6,
    minConfidence: options.minConfidence ?? 0,
    ...(options.coverage === undefined ? {} : { coverage: options.coverage }),
    input: options.input ?? "photo",
    route,
  };
}

/** Refuses a route on which the model cannot be reached. */
function checkRoute(
  route: Plan["route"],
  spec: ModelSpec,
  remote: readonly string[],
  models: ModelStore,
): void {
  if (route === "gpu" && !remote.includes(spec.name)) {
    throw new PipelineError(
      "gpu_unavailable",
      `route=gpu needs a GPU server with ${spec.name}, and none is set up here: use auto or edge`,
    );
  }
  if (spec.file === null && (route === "edge" || !remote.includes(spec.name))) {
    const names = expressionModels(models).filter(({ file }) => file !== null)
      .map(({ name }) => name).join(", ");
    throw unsupported(
      `${spec.name} runs on a GPU server only${
        route === "edge"
          ? ": use route=auto, or"
          : ", and none here has it: use"
      } model=${names}`,
    );
  }
}

function resolveAttributes(
  wanted: readonly Attribute[] | "all",
  models: ModelStore,
): readonly Attribute[] {
  const available = ATTRIBUTES.filter((name) =>
    (name !== "actionUnits" && name !== "gender") ||
    models.specs.some((spec) => spec.task === name)
  );
  if (wanted === "all") return available;
  const missing = wanted.find((name) => !available.includes(name));
  if (!missing) return wanted;
  throw unsupported(
    `attributes=${missing} has no model here yet: use ${available.join(", ")}`,
  );
}

/**
 * The plan with a neutral photo.
 *
 * @throws {PipelineError} `unsupported_option` when nothing asked for needs it, or it is needed and not there
 */
export function withNeutral(plan: Plan, neutral?: Plan["neutral"]): Plan {
  if (neutral && !plan.attributes.includes("actionUnits")) {
    throw unsupported(
      "neutral serves attributes=actionUnits: add it to attributes, or leave neutral out",
    );
  }
  if (!neutral && !plan.known && plan.explain === "difference") {
    throw unsupported(
      "explain=difference compares with a neutral photo: send neutral, or leave explain out",
    );
  }
  return neutral ? { ...plan, neutral } : plan;
}

/** A face of an answer as one to follow, where it has landmarks. */
export function toDetection(face: Face): Detection[] {
  const { boundingBox, detectionScore: score, landmarks } = face;
  return landmarks ? [{ boundingBox, score, landmarks }] : [];
}

/** The models that `model` may name. */
export function expressionModels(models: ModelStore): ModelSpec[] {
  return models.specs.filter((spec) => spec.task === "expression");
}

function unsupported(detail: string): PipelineError {
  return new PipelineError("unsupported_option", detail);
}
