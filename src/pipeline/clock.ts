import type { Timing } from "../types.ts";

/** One stretch of a stage; a decoding asked for inside another stage lies within that one's. */
export interface Interval {
  stage: string;
  /** Milliseconds after the clock's start. */
  startMs: number;
  ms: number;
}

/** Adds up the milliseconds of each stage. */
export class Clock {
  readonly #start = performance.now();
  readonly #timing: Omit<Timing, "totalMs"> = {
    decodeMs: 0,
    detectMs: 0,
    alignMs: 0,
    classifyMs: 0,
    explainMs: 0,
    remoteMs: 0,
    queueMs: 0,
  };
  /** Decoding asked for inside another stage must not count twice. */
  #nested = 0;
  /** Every stretch so far, in the order in which they ended. */
  readonly intervals: Interval[] = [];

  /** Runs a piece of work and adds its time to a stage. */
  async time<T>(
    stage: keyof Omit<Timing, "totalMs">,
    work: () => T | Promise<T>,
  ): Promise<T> {
    const start = performance.now(), outer = this.#nested;
    this.#nested = 0;
    try {
      return await work();
    } finally {
      const spent = performance.now() - start;
      this.#timing[stage] += spent - this.#nested;
      this.intervals.push({
        stage: stage.slice(0, -"Ms".length),
        startMs: start - this.#start,
        ms: spent,
      });
      this.#nested = outer + spent;
    }
  }

  /** The times so far. */
  read(): Timing {
    return { ...this.#timing, totalMs: performance.now() - this.#start };
  }
}
