import type { Timing } from "../types.ts";

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
      this.#nested = outer + spent;
    }
  }

  /** The times so far. */
  read(): Timing {
    return { ...this.#timing, totalMs: performance.now() - this.#start };
  }
}
