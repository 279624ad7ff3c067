import type { Analysis, AnalyzeOptions, Attribute, Face } from "../types.ts";
import { type Calm, referenceOf, remember } from "./calm.ts";
import type { KnownFaces, Look } from "./look.ts";
import { smooth, type SmoothState, stillKnown } from "./smooth.ts";

/** What the frames before tell of the next. */
export interface Before {
  /** Faces to be found by their landmarks, without the detector. */
  follow?: readonly Face[];
  /** What action units are read against; absent when none are asked for. */
  known?: KnownFaces;
}

/** Analyses one frame by itself. */
export type AnalyzeFrame = (
  options: AnalyzeOptions,
  before: Before,
) => Promise<Analysis & { looks?: readonly Look[] }>;

/** A face known by its landmarks is looked for by the detector as often as this, and new ones with it. */
const DETECT_EVERY_MS = 500;
/** Faces whose looks are remembered at most; the others have no running reference. */
const MAX_REMEMBERED = 100;

/**
 * The frames of one stream in their order: faces are followed, scores smoothed, and each face's
 * calm look serves as reference for its action units. Everything stays in memory until `end()`.
 */
export class Sequence {
  readonly #options: AnalyzeOptions;
  /** What is needed beyond what was asked for, and taken out of the answers. */
  readonly #further: readonly Attribute[];
  readonly #readsUnits: boolean;
  #state: SmoothState | undefined;
  #faces: readonly Face[] = [];
  #detected = -Infinity;
  #calm: ReadonlyMap<number, Calm> = new Map();
  #ended = false;

  /** `options` hold for every frame. */
  constructor(options: AnalyzeOptions) {
    const { attributes = ["expression"] } = options;
    const asked = (name: Attribute) =>
      attributes === "all" || attributes.includes(name);
    this.#readsUnits = asked("actionUnits");
    const needed: Attribute[] = this.#readsUnits
      ? ["landmarks", "expression", "quality"]
      : ["landmarks"];
    this.#further = needed.filter((name) => !asked(name));
    this.#options = attributes === "all"
      ? options
      : { ...options, attributes: [...attributes, ...this.#further] };
  }

  /** How many faces' looks are in memory. */
  get remembered(): number {
    return this.#calm.size;
  }

  /**
   * Analyses the next frame; the one before must be done.
   *
   * @param timestampMs When it was taken, on a clock that does not go back.
   * @throws what `analyze` throws
   */
  async next(timestampMs: number, analyze: AnalyzeFrame): Promise<Analysis> {
    const { looks = [], ...analysis } = await analyze(
      this.#options,
      this.#before(timestampMs),
    );
    if (this.#ended) return analysis;
    if (analysis.timing.detectMs > 0) this.#detected = timestampMs;
    this.#faces = analysis.faces;
    const { minConfidence } = this.#options;
    const { faces, state } = smooth(analysis.faces, {
      timestampMs,
      ...(this.#state ? { state: this.#state } : {}),
      ...(minConfidence === undefined ? {} : { minConfidence }),
    });
    this.#state = state;
    this.#remember(looks, state);
    return {
      ...analysis,
      faces: faces.map((face) => without(face, this.#further)),
    };
  }

  /** Forgets every face. */
  end(): void {
    this.#ended = true;
    this.#state = undefined;
    this.#faces = [];
    this.#calm = new Map();
  }

  #before(timestampMs: number): Before {
    const follow = this.#options.input !== "crop" &&
      timestampMs - this.#detected < DETECT_EVERY_MS;
    const tracks = stillKnown(this.#state?.tracks ?? [], timestampMs);
    const faces = tracks.map(({ id, seen, seenMs, velocity }) => {
      const calm = this.#calm.get(id), reference = referenceOf(calm);
      const { boundingBox, landmarks } = seen;
      return {
        seen: { boundingBox, ...(landmarks ? { landmarks } : {}) },
        seenMs,
        velocity,
        ...(calm && reference ? { last: calm.last, reference } : {}),
      };
    });
    return {
      ...(follow ? { follow: this.#faces } : {}),
      ...(this.#readsUnits ? { known: { faces, timestampMs } } : {}),
    };
  }

  /** Tracks in view come first and in the order of the frame's faces; the lost follow. */
  #remember(looks: readonly Look[], { tracks }: SmoothState): void {
    const calm = new Map<number, Calm>();
    for (const [index, track] of tracks.slice(0, MAX_REMEMBERED).entries()) {
      const { id, seen, shown, seenMs } = track;
      const look = looks[index], before = this.#calm.get(id);
      if (look) calm.set(id, remember(before, { look, seen, shown }, seenMs));
      else if (before) calm.set(id, before);
    }
    this.#calm = calm;
  }
}

/** A face without what was not asked for. */
function without(face: Face, attributes: readonly Attribute[]): Face {
  const { landmarks, quality, expression, consistency, ...rest } = face;
  const kept = (name: Attribute) => !attributes.includes(name);
  return {
    ...rest,
    ...(landmarks && kept("landmarks") ? { landmarks } : {}),
    ...(quality && kept("quality") ? { quality } : {}),
    ...(expression && kept("expression") ? { expression } : {}),
    ...(consistency && kept("expression") ? { consistency } : {}),
  };
}
