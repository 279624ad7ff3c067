/** `closed`: calls go through; `open`: none does; `half_open`: one may, to see. */
export type CircuitState = "closed" | "open" | "half_open";

/** How a circuit is set up. */
export interface CircuitOptions {
  /** Looks whether the server is back, without work for it. Its answer only earns one trial call. */
  probe(): Promise<boolean>;
  /** Failures among the last ten calls that open it. @default {5} */
  failures?: number;
  /** Milliseconds before the first look; doubled each time, up to the longest. @default {500} */
  pauseMs?: number;
  /** Longest pause in milliseconds. @default {4000} */
  maxPauseMs?: number;
  /** A clock in milliseconds. @default {performance.now} */
  now?(): number;
}

/** Calls whose outcome is remembered. */
const WINDOW = 10;

/** A circuit breaker: keeps calls from a server that fails, and finds out when it is back. */
export class Circuit {
  readonly #options: Required<CircuitOptions>;
  #state: CircuitState = "closed";
  /** Outcomes of the last calls, true for a failure. */
  #recent: boolean[] = [];
  #pauseMs: number;
  #until = 0;
  #probing = false;
  #trial = false;
  #opened = 0;

  /** Starts closed. */
  constructor(options: CircuitOptions) {
    this.#options = {
      failures: 5,
      pauseMs: 500,
      maxPauseMs: 4000,
      now: () => performance.now(),
      ...options,
    };
    this.#pauseMs = this.#options.pauseMs;
  }

  /** What it is, without a look at the server. */
  get state(): CircuitState {
    return this.#state;
  }

  /** How many times it has opened. */
  get opened(): number {
    return this.#opened;
  }

  /**
   * What a call may expect now: `open` also while half-open's one trial is under way. An open
   * circuit whose pause is over has the server looked at, without waiting for it.
   */
  check(): CircuitState {
    const { now, probe } = this.#options;
    if (this.#state === "open" && !this.#probing && now() >= this.#until) {
      this.#probing = true;
      probe().catch(() => false).then((back) => {
        this.#probing = false;
        if (back) this.#state = "half_open";
        else this.#open();
      });
    }
    return this.#state === "half_open" && this.#trial ? "open" : this.#state;
  }

  /**
   * Makes one call and learns from its outcome.
   *
   * @param blames Whether an error is the server's fault; others leave the circuit as it is.
   */
  async call<T>(
    work: () => Promise<T>,
    blames: (error: unknown) => boolean,
  ): Promise<T> {
    const trial = this.#state === "half_open";
    if (trial) this.#trial = true;
    try {
      const result = await work();
      this.#succeed(trial);
      return result;
    } catch (error) {
      if (blames(error)) this.#fail(trial);
      throw error;
    } finally {
      if (trial) this.#trial = false;
    }
  }

  #succeed(trial: boolean): void {
    if (trial) {
      this.#state = "closed";
      this.#recent = [];
      this.#pauseMs = this.#options.pauseMs;
    } else if (this.#state === "closed") this.#remember(false);
  }

  #fail(trial: boolean): void {
    if (trial) return this.#open();
    if (this.#state !== "closed") return;
    this.#remember(true);
    const failed = this.#recent.filter(Boolean).length;
    if (failed >= this.#options.failures) {
      this.#opened++;
      this.#open();
    }
  }

  #remember(failed: boolean): void {
    this.#recent.push(failed);
    if (this.#recent.length > WINDOW) this.#recent.shift();
  }

  #open(): void {
    const { now, maxPauseMs } = this.#options;
    this.#state = "open";
    this.#until = now() + this.#pauseMs;
    this.#pauseMs = Math.min(maxPauseMs, this.#pauseMs * 2);
  }
}
