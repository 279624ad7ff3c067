/**
 * A typed client of a Mien server, for browsers, Deno and Node.
 *
 * @example Analyse a photo
 * ```ts
 * import { Mien } from "@mien/mien/client";
 *
 * const mien = new Mien({ endpoint: "http://127.0.0.1:8000" });
 * export async function labels(photo: Blob) {
 *   const { faces } = await mien.analyze(photo, { attributes: ["expression", "quality"] });
 *   return faces.map((face) => face.expression!.label);
 * }
 * ```
 *
 * @module
 */
import type { ModelSpec } from "../pipeline/manifest.ts";
import type { Analysis, AnalyzeOptions } from "../types.ts";
import { analyzeCrops, type FaceCropper } from "./crops.ts";
import { type ClientSettings, type RequestOptions, send } from "./request.ts";
import type { FrameSource } from "./frames.ts";
import { stream, type StreamRequest } from "./stream.ts";
import { type ImageInput, toUpload } from "./upload.ts";

export {
  APIError,
  ConnectionError,
  type FailureCode,
  type FailureFacts,
  MienError,
  TimeoutError,
} from "./errors.ts";
export type { EncodedImage } from "./bytes.ts";
export type {
  BitmapLike,
  CanvasLike,
  Drawable,
  FrameLike,
  ImageLike,
  Pixels,
  PixelSource,
  VideoLike,
} from "./canvas.ts";
export type {
  CropOptions,
  CroppedFace,
  CroppedFaces,
  FaceCropper,
} from "./crops.ts";
export type { RequestOptions } from "./request.ts";
export type { FrameSource } from "./frames.ts";
export type { StreamRequest } from "./stream.ts";
export type { ImageInput } from "./upload.ts";
export type * from "../types.ts";
export type { ModelSpec } from "../pipeline/manifest.ts";

/** How a client is set up; only the endpoint is needed. */
export interface MienOptions {
  /** Where the server is; in a page, relative to it. */
  endpoint: string | URL;
  /** Sent as `Authorization: Bearer`. */
  apiKey?: string;
  /** Milliseconds one try may take, the answer's body included. @default {30_000} */
  timeoutMs?: number;
  /** Further tries after a failure that may pass. @default {2} */
  maxRetries?: number;
  /** Sent along with every request. */
  headers?: Record<string, string>;
  /** Makes the requests. @default {globalThis.fetch} */
  fetch?: typeof fetch;
  /** Finds the faces for `privacy: "crops"`: an `Analyzer` of `@mien/mien/local`. */
  analyzer?: FaceCropper;
}

/** What one analysis is to do, and how its request is made. */
export interface AnalyzeRequest extends AnalyzeOptions, RequestOptions {
  /** The same person with a relaxed face: the reference for action units. */
  neutral?: ImageInput;
  /** Longest side in pixels; a larger picture is shrunk before it is sent. Unset sends it as it is. */
  maxSide?: number;
  /**
   * `crops`: the client's `analyzer` finds the faces on this machine, and only they are sent, each
   * by itself, aligned and as small as the model wants it. Quality is then judged on the crop.
   */
  privacy?: "crops";
}

/** Whether a server can answer. */
export interface Health {
  /** `ready` once its models are loaded. */
  status: "starting" | "ready" | "failed";
  /** The model that `auto` means, where the server tells. */
  model?: string;
}

/** What concerns this side of a request only. */
const NOT_IN_QUERY: ReadonlySet<string> = new Set([
  "neutral",
  "maxSide",
  "privacy",
  "signal",
  "timeoutMs",
  "maxRetries",
  "headers",
]);

/** A client of one server. It holds no connection and needs no closing. */
export class Mien {
  readonly #settings: ClientSettings;
  readonly #analyzer: FaceCropper | undefined;

  /**
   * Sets up a client; nothing is sent yet.
   *
   * @throws {TypeError} when the endpoint is no address
   */
  constructor(options: MienOptions) {
    const { endpoint, apiKey, timeoutMs = 30_000, maxRetries = 2 } = options;
    const base = new URL(endpoint, globalThis.location?.href || undefined);
    if (!base.pathname.endsWith("/")) base.pathname += "/";
    this.#analyzer = options.analyzer;
    this.#settings = {
      endpoint: base,
      apiKey,
      timeoutMs,
      maxRetries,
      headers: options.headers ?? {},
      fetch: options.fetch ?? ((...request) => fetch(...request)),
    };
  }

  /**
   * Finds every face of a picture and reads its apparent expression.
   *
   * @throws {APIError} when the server refuses; `code` says why
   * @throws {ConnectionError} when no answer arrives; {@linkcode TimeoutError} when none does in time
   * @throws {TypeError} when the picture is none, or cannot be read in this runtime
   */
  async analyze(
    image: ImageInput,
    request: AnalyzeRequest = {},
  ): Promise<Analysis> {
    const { neutral, maxSide, signal, privacy } = request;
    signal?.throwIfAborted();
    if (privacy !== undefined) {
      return await this.#analyzeCrops(image, request);
    }
    const photo = await toUpload(image, maxSide);
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(request)) {
      if (value === undefined || NOT_IN_QUERY.has(name)) continue;
      query.set(name, String(value));
    }
    let body: BodyInit = photo;
    if (neutral !== undefined) {
      body = new FormData();
      body.set("image", photo);
      body.set("neutral", await toUpload(neutral, maxSide));
    }
    const type = photo.type.startsWith("image/")
      ? photo.type
      : "application/octet-stream";
    return await send(this.#settings, {
      path: query.size ? `v1/analyze?${query}` : "v1/analyze",
      body,
      ...(body === photo ? { type } : {}),
    }, request);
  }

  /** Sends nothing but crops, whatever goes wrong. */
  async #analyzeCrops(
    image: ImageInput,
    { privacy, ...request }: AnalyzeRequest,
  ): Promise<Analysis> {
    const analyzer = this.#analyzer;
    if (privacy !== "crops" || !analyzer || request.neutral !== undefined) {
      throw new TypeError(
        'Cannot keep the picture here: privacy is "crops" or unset, needs an analyzer, and takes no neutral',
      );
    }
    const { model, maxFaces, minDetectionConfidence, maxSide: _, ...rest } =
      request;
    const found = await analyzer.crop(image, {
      ...(model === undefined ? {} : { model }),
      ...(maxFaces === undefined ? {} : { maxFaces }),
      ...(minDetectionConfidence === undefined
        ? {}
        : { minDetectionConfidence }),
      ...(rest.signal ? { signal: rest.signal } : {}),
    });
    const attributes = request.attributes ?? [];
    return await analyzeCrops(
      found,
      (crop, model) => this.analyze(crop, { ...rest, model, input: "crop" }),
      { landmarks: attributes === "all" || attributes.includes("landmarks") },
    );
  }

  /**
   * Analyses the frames of a video, a canvas or a sequence of pictures, as fast as the server
   * answers; a video's frames in between are passed over. Each face keeps its `trackId`, scores are
   * smoothed. Ends with the video or sequence, when the loop is left, or by the signal.
   *
   * @example Follow a webcam
   * ```ts
   * import { Mien, type VideoLike } from "@mien/mien/client";
   *
   * const mien = new Mien({ endpoint: "https://mien.example" });
   * export async function follow(video: VideoLike) {
   *   for await (const { faces } of mien.stream(video, { maxSide: 640 })) {
   *     for (const { trackId, expression } of faces) console.log(trackId, expression?.label);
   *   }
   * }
   * ```
   *
   * @throws {APIError} when the server refuses the stream, or a frame for good
   * @throws {ConnectionError} when the connection fails and no new one stands
   */
  stream(
    source: FrameSource,
    request: StreamRequest = {},
  ): AsyncGenerator<Analysis, void, undefined> {
    return stream(this.#settings, source, request);
  }

  /** Every model of the server, with its measured figures and licences. */
  models(options: RequestOptions = {}): Promise<ModelSpec[]> {
    return send(this.#settings, { path: "v1/models" }, options);
  }

  /** Whether the server can answer; a server that is still starting is no failure. */
  health(options: RequestOptions = {}): Promise<Health> {
    return send(this.#settings, { path: "readyz", also: [503] }, options);
  }
}
