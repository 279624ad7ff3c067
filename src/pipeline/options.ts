import type { AnalyzeOptions, Attribute, ExplanationMethod } from "../types.ts";
import { PipelineError } from "./error.ts";
import type { ModelSpec, ModelStore } from "./manifest.ts";

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
 * @throws {PipelineError} `unknown_model` or `unsupported_option`
 */
export function resolveOptions(
  options: AnalyzeOptions,
  models: ModelStore,
  auto: string,
): Plan {
  const attributes = resolveAttributes(
    options.attributes ?? ["expression"],
    models,
  );
  if (options.route === "gpu") {
    throw unsupported("route=gpu is not available here: use auto or edge");
  }
  const asked = options.model ?? "auto";
  const spec = models.find(asked === "auto" ? auto : asked);
  if (!spec || spec.task !== "expression") {
    const names = expressionModels(models).map((spec) => spec.name).join(", ");
    throw new PipelineError(
      "unknown_model",
      `Cannot find the model "${asked}": use auto, ${names}`,
    );
  }
  const explain = options.explain ?? "none";
  if (explain !== "none" && !spec.explanations?.includes(explain)) {
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
  };
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

/** The models that `model` may name. */
export function expressionModels(models: ModelStore): ModelSpec[] {
  return models.specs.filter((spec) => spec.task === "expression");
}

function unsupported(detail: string): PipelineError {
  return new PipelineError("unsupported_option", detail);
}
