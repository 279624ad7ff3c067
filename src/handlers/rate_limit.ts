/** What a caller has left in the current minute. */
export interface Allowance {
  allowed: boolean;
  limit: number;
  remaining: number;
  /** Seconds until a request is allowed again. */
  resetSeconds: number;
}

/** Callers remembered at most; the ones idle longest are forgotten first. */
const MAX_CALLERS = 10_000;

/** A token bucket per caller: `perMinute` requests at once, refilled evenly over a minute. */
export class RateLimiter {
  readonly #perMinute: number;
  readonly #now: () => number;
  readonly #buckets = new Map<string, { tokens: number; at: number }>();

  /** `now` gives milliseconds. */
  constructor(perMinute: number, now: () => number = Date.now) {
    this.#perMinute = perMinute;
    this.#now = now;
  }

  /** Takes one request of a caller. */
  take(caller: string): Allowance {
    const now = this.#now(), perMs = this.#perMinute / 60_000;
    const bucket = this.#buckets.get(caller) ??
      { tokens: this.#perMinute, at: now };
    const tokens = Math.min(
      this.#perMinute,
      bucket.tokens + (now - bucket.at) * perMs,
    );
    const allowed = tokens >= 1;
    const left = allowed ? tokens - 1 : tokens;
    this.#buckets.delete(caller);
    this.#buckets.set(caller, { tokens: left, at: now });
    if (this.#buckets.size > MAX_CALLERS) {
      this.#buckets.delete(this.#buckets.keys().next().value!);
    }
    return {
      allowed,
      limit: this.#perMinute,
      remaining: Math.floor(left),
      resetSeconds: Math.ceil(Math.max(0, 1 - left) / perMs / 1000),
    };
  }
}
