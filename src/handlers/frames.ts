import type { Analysis, AnalyzeOptions, Problem } from "../types.ts";
import type { Pipeline } from "../pipeline/mod.ts";
import { Sequence } from "../pipeline/sequence.ts";
import { describeProblem, RequestError } from "./problem.ts";

/** What a stream needs of the server's settings. */
export interface FrameSettings {
  pipeline: Pipeline;
  /** Largest accepted frame. */
  maxBodyBytes: number;
  /** Milliseconds from a frame's arrival to its answer. */
  deadlineMs: number;
  /** Counts one frame against the caller's limit; rejects when there is none left. */
  count(): Promise<void>;
  /** Gets each answer, exactly one for each frame. */
  answer(answer: Analysis | Problem): void;
  /** Gets the failures that are ours. */
  report(error: unknown, requestId: string): void;
}

interface Frame {
  requestId: string;
  bytes: Uint8Array<ArrayBuffer>;
  arrived: number;
}

/**
 * The frames of one stream: one is analysed, the newest waits, and one that waited is answered
 * `overloaded` as soon as a newer comes.
 *
 * A frame's request id is the stream's with the frame's number, from 1, after a hyphen.
 */
export class Frames {
  readonly #id: string;
  readonly #sequence: Sequence;
  readonly #settings: FrameSettings;
  readonly #ended = new AbortController();
  #received = 0;
  #waiting: Frame | undefined;
  #running: Promise<void> | undefined;

  /** `options` hold for every frame. */
  constructor(id: string, options: AnalyzeOptions, settings: FrameSettings) {
    this.#id = id;
    this.#sequence = new Sequence(options);
    this.#settings = settings;
  }

  /** How many frames have come. */
  get received(): number {
    return this.#received;
  }

  /** Takes one message. */
  take(data: unknown): void {
    const requestId = `${this.#id}-${++this.#received}`;
    try {
      const bytes = this.#check(data);
      if (this.#waiting) this.#drop(this.#waiting);
      this.#waiting = { requestId, bytes, arrived: performance.now() };
      this.#running ??= this.#run();
    } catch (error) {
      this.#fail(error, requestId);
    }
  }

  /** Resolves when every frame taken so far has its answer. */
  async settled(): Promise<void> {
    await this.#running;
  }

  /** Forgets what waits and every face; nothing is answered from now on. */
  end(): void {
    this.#waiting = undefined;
    this.#ended.abort();
    this.#sequence.end();
  }

  #check(data: unknown): Uint8Array<ArrayBuffer> {
    if (!(data instanceof ArrayBuffer) || data.byteLength === 0) {
      throw new RequestError(
        "invalid_request",
        "A message must be binary: send the bytes of one image",
      );
    }
    const { maxBodyBytes } = this.#settings;
    if (data.byteLength > maxBodyBytes) {
      throw new RequestError(
        "body_too_large",
        `The frame exceeds the limit of ${maxBodyBytes} bytes: send a smaller image`,
      );
    }
    return new Uint8Array(data);
  }

  #drop({ requestId }: Frame): void {
    const detail =
      "A newer frame came before this one's turn: send fewer or smaller frames";
    this.#fail(new RequestError("overloaded", detail), requestId);
  }

  async #run(): Promise<void> {
    while (this.#waiting) {
      const frame = this.#waiting;
      this.#waiting = undefined;
      try {
        await this.#settings.count();
        const analysis = await this.#analyze(frame);
        if (!this.#ended.signal.aborted) this.#settings.answer(analysis);
      } catch (error) {
        this.#fail(error, frame.requestId);
      }
    }
    this.#running = undefined;
  }

  async #analyze({ requestId, bytes, arrived }: Frame): Promise<Analysis> {
    const { pipeline, deadlineMs } = this.#settings;
    return await this.#sequence.next(
      arrived,
      (options, before) =>
        pipeline.analyze(bytes, options, {
          ...before,
          requestId,
          signal: this.#ended.signal,
          deadlineMs: Math.max(1, deadlineMs - (performance.now() - arrived)),
        }),
    );
  }

  #fail(error: unknown, requestId: string): void {
    if (this.#ended.signal.aborted) return;
    const problem = describeProblem(error, requestId);
    if (problem.status === 500) this.#settings.report(error, requestId);
    this.#settings.answer(problem);
  }
}
