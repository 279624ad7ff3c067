/**
 * The server's own engine in a page, in Deno or in Node: nothing leaves the machine.
 *
 * The caller brings ONNX Runtime, so that its version and its kind (wasm or WebGPU) are the
 * caller's to choose. Weights are checked by SHA-256 and kept in the Cache API.
 *
 * @example Analyse a photo offline
 * ```ts
 * import * as ort from "onnxruntime-web";
 * import { createAnalyzer } from "@mien/mien/local";
 *
 * const analyzer = await createAnalyzer({ ort });
 * export async function labels(photo: Blob) {
 *   const { faces } = await analyzer.analyze(photo);
 *   return faces.map((face) => face.expression!.label);
 * }
 * ```
 *
 * @module
 */
import { type CodecName, loadCodec } from "../pipeline/codecs.ts";
import { decode } from "../pipeline/decode.ts";
import { DEFAULT_MODEL, IMAGE_LIMITS } from "../pipeline/defaults.ts";
import { createEngine } from "../pipeline/engine.ts";
import { PipelineError } from "../pipeline/error.ts";
import type { RawImage } from "../pipeline/image.ts";
import { type ModelSpec, ModelStore } from "../pipeline/manifest.ts";
import type { Look } from "../pipeline/look.ts";
import {
  resolveOptions,
  toDetection,
  withNeutral,
} from "../pipeline/options.ts";
import { createOrtBackend, type Ort } from "../pipeline/ort_backend.ts";
import { encodePng } from "../pipeline/png.ts";
import { type Before, Sequence } from "../pipeline/sequence.ts";
import type { Analysis, AnalyzeOptions, ImageLimits } from "../types.ts";
import { toBytes } from "./bytes.ts";
import { isPixelSource, toRawImage } from "./canvas.ts";
import type { CropOptions, CroppedFaces, FaceCropper } from "./crops.ts";
import { MienError } from "./errors.ts";
import { framesOf, type FrameSource } from "./frames.ts";
import { checkRanges } from "./ranges.ts";
import { newRequestId } from "./request.ts";
import type { ImageInput } from "./upload.ts";
import { type ModelSource, type Progress, readWeights } from "./weights.ts";

export type * from "../types.ts";
export type { CodecName } from "../pipeline/codecs.ts";
export type { ModelSpec, ReadModelFile } from "../pipeline/manifest.ts";
export type { Ort, OrtSession } from "../pipeline/ort_backend.ts";
export type { CropOptions, CroppedFace, CroppedFaces } from "./crops.ts";
export type { FrameSource } from "./frames.ts";
export type { ImageInput } from "./upload.ts";
export type { ModelSource, Progress } from "./weights.ts";
export { MienError } from "./errors.ts";
export {
  smooth,
  type Smoothed,
  type SmoothOptions,
  type SmoothState,
  type Track,
  type TrackedFace,
} from "./smooth.ts";

/** How an analyzer is set up; only ONNX Runtime is needed. */
export interface AnalyzerOptions {
  /** The caller's `onnxruntime-web`. One thread, unless `env.wasm.numThreads` was set before. */
  ort: Ort;
  /** Where the weights come from. @default the light set in this package */
  models?: ModelSource;
  /** The expression model that `auto` means. @default {"expression_mien"} */
  model?: string;
  /** Who computes, the first that can: `wasm`, `webgpu`. @default {["wasm"]} */
  executionProviders?: readonly string[];
  /** Limits on an image. */
  limits?: Partial<ImageLimits>;
  /**
   * Picture formats whose codecs are fetched at the start, so that no connection is needed from then
   * on; others when first met. @default {[]}
   */
  formats?: readonly CodecName[];
  /** Whether weights are kept for the next visit, where there is a Cache API. @default {true} */
  cache?: boolean;
  /** Told of every piece of a download. */
  onProgress?: (progress: Progress) => void;
  /** Ends the start. */
  signal?: AbortSignal;
}

/** What one offline analysis is to do. */
export interface LocalAnalyzeOptions extends AnalyzeOptions {
  /** The same person with a relaxed face: the reference for action units. */
  neutral?: ImageInput;
  /** Ends it before its next model runs; it rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** Finds faces and reads their expressions on this machine. */
export interface Analyzer extends FaceCropper {
  /** The models at hand. */
  readonly models: readonly ModelSpec[];
  /**
   * Analyses one picture; the answer is shaped as the server's.
   *
   * @throws {MienError} with a code of the contract
   * @throws {TypeError} when the picture is none, or cannot be read in this runtime
   */
  analyze(image: ImageInput, options?: LocalAnalyzeOptions): Promise<Analysis>;
  /**
   * Analyses frames one after the other, as `WS /v1/stream` does: faces keep a `trackId`, scores
   * are smoothed, and a face's own calm look becomes the reference for its action units. Nothing of
   * it is kept when the loop is left.
   *
   * @throws {MienError} with a code of the contract
   * @throws {TypeError} when a frame is no picture, or cannot be read in this runtime
   */
  stream(
    source: FrameSource,
    options?: LocalAnalyzeOptions,
  ): AsyncGenerator<Analysis, void, undefined>;
  /** Frees every session. */
  close(): Promise<void>;
}

/**
 * Loads and warms the detector, the landmark net and an expression model.
 *
 * @throws {MienError} when weights cannot be had or are not what the manifest says
 * @throws {RangeError} when `model` names none of the manifest
 */
export async function createAnalyzer(
  options: AnalyzerOptions,
): Promise<Analyzer> {
  const { ort, model = DEFAULT_MODEL, executionProviders = ["wasm"] } = options;
  const { models, engine } = await started(options.signal, async () => {
    const models = await ModelStore.open(readWeights(options.models, options));
    const engine = createEngine({
      models,
      backend: createOrtBackend(ort, models, executionProviders),
      decode,
      limits: { ...IMAGE_LIMITS, ...options.limits },
    });
    options.signal?.throwIfAborted();
    await Promise.all([
      engine.warm([model]),
      ...(options.formats ?? []).map(loadCodec),
    ]);
    return { models, engine };
  });
  const backend = executionProviders[0] === "wasm" ? "wasm" : "gpu";

  async function analyze(
    image: ImageInput,
    { signal, neutral, ...wanted }: LocalAnalyzeOptions = {},
    { follow = [], known }: Before = {},
  ): Promise<Analysis & { looks?: readonly Look[] }> {
    return await translated(async () => {
      checkRanges(wanted);
      const resolved = resolveOptions(wanted, models, model);
      const detections = follow.flatMap(toDetection);
      if (detections.length > 0) resolved.follow = detections;
      const plan = withNeutral(
        known ? { ...resolved, known } : resolved,
        neutral === undefined ? undefined : await read(neutral),
      );
      const answer = await engine.analyze(await read(image), plan, signal);
      for (const { provenance } of answer.faces) provenance.backend = backend;
      return { requestId: newRequestId(), ...answer };
    });
  }

  async function* stream(
    source: FrameSource,
    { signal, neutral, ...wanted }: LocalAnalyzeOptions = {},
  ): AsyncGenerator<Analysis, void, undefined> {
    const sequence = new Sequence(wanted);
    const call = {
      ...(neutral === undefined ? {} : { neutral: await reusable(neutral) }),
      ...(signal ? { signal } : {}),
    };
    try {
      for await (const frame of framesOf(source)) {
        signal?.throwIfAborted();
        yield await sequence.next(
          performance.now(),
          (options, before) => analyze(frame, { ...options, ...call }, before),
        );
      }
    } finally {
      sequence.end();
    }
  }

  async function crop(
    image: ImageInput,
    { signal, ...wanted }: CropOptions = {},
  ): Promise<CroppedFaces> {
    return await translated(async () => {
      checkRanges(wanted);
      const plan = resolveOptions(
        { ...wanted, attributes: ["expression", "landmarks"] },
        models,
        model,
      );
      plan.handOver = { below: Infinity, models: [plan.model] };
      const { image: info, faces, crops = [], timing } = await engine.analyze(
        await read(image),
        plan,
        signal,
      );
      const spec = models.get(plan.model);
      const cut = crops.map(async ({ face, samples }) => ({
        face: faces[face]!,
        crop: await toPng(samples[plan.model]!, spec),
      }));
      return {
        image: info,
        model: plan.model,
        faces: await Promise.all(cut),
        timing,
      };
    });
  }

  return {
    models: models.specs,
    analyze: (image, options) => analyze(image, options),
    stream,
    crop,
    close: () => engine.close(),
  };
}

/** An input that can be read again for each frame: a stream cannot. */
async function reusable(image: ImageInput): Promise<ImageInput> {
  return isPixelSource(image) ? image : await toBytes(image);
}

async function read(image: ImageInput): Promise<Uint8Array | RawImage> {
  return isPixelSource(image) ? toRawImage(image) : await toBytes(image);
}

/** What keeps an analyzer from starting, as an error of the SDK. */
async function started<T>(
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    signal?.throwIfAborted();
    if (cause instanceof MienError || cause instanceof RangeError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new MienError("internal", `Cannot start the analyzer: ${why}`, {
      cause,
    });
  }
}

/** The pipeline's failures as the SDK's. */
async function translated<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof PipelineError)) throw error;
    throw new MienError(error.code, error.message, { cause: error });
  }
}

/** An aligned face's planes as a picture: gray, or RGB whatever the model's order. */
async function toPng(planes: Float32Array, spec: ModelSpec): Promise<Blob> {
  const { color, shape } = spec.inputs[0]!;
  const height = Number(shape[2]), width = Number(shape[3]);
  const area = width * height, channels = color === "gray" ? 1 : 3;
  const data = new Uint8Array(area * channels);
  for (let i = 0; i < data.length; i++) {
    const c = i % channels, plane = color === "BGR" ? 2 - c : c;
    data[i] = Math.round(planes[plane * area + Math.floor(i / channels)]!);
  }
  const png = await encodePng({ data, width, height, channels });
  return new Blob([png], { type: "image/png" });
}
