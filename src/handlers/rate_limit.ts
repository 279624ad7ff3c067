/** What a caller has left in the current minute. */
export interface Allowance {
  allowed: boolean;
  limit: number;
  remaining: number;
  /** Seconds until a request is allowed again. */
  resetSeconds: number;
}

/** Counts requests of callers. */
export interface RateLimiter {
  /** Takes one request of a caller; a refused one costs nothing. */
  take(caller: string): Allowance | Promise<Allowance>;
}

/** What a caller may still do: tokens when last looked at, in milliseconds since 1970. */
export interface Bucket {
  /** Requests left, fractions included. */
  tokens: number;
  /** When that was so. */
  at: number;
}

/** Callers remembered at most; the ones idle longest are forgotten first. */
const MAX_CALLERS = 10_000;

/**
 * Takes one request from a bucket that holds `perMinute` requests and refills evenly over a minute.
 * A caller without a bucket has a full one.
 */
export function takeFrom(
  bucket: Bucket | undefined,
  perMinute: number,
  now: number,
): { bucket: Bucket; allowance: Allowance } {
  const { tokens: before, at } = bucket ?? { tokens: perMinute, at: now };
  const perMs = perMinute / 60_000;
  // Another machine's clock may be ahead of this one's.
  const tokens = Math.min(perMinute, before + Math.max(0, now - at) * perMs);
  const allowed = tokens >= 1;
  const left = allowed ? tokens - 1 : tokens;
  return {
    bucket: { tokens: left, at: Math.max(now, at) },
    allowance: {
      allowed,
      limit: perMinute,
      remaining: Math.floor(left),
      resetSeconds: Math.ceil(Math.max(0, 1 - left) / perMs / 1000),
    },
  };
}

/** Counts in this process's memory. */
export class MemoryRateLimiter implements RateLimiter {
  readonly #perMinute: number;
  readonly #now: () => number;
  readonly #buckets = new Map<string, Bucket>();

  /** `now` gives milliseconds. */
  constructor(perMinute: number, now: () => number = Date.now) {
    this.#perMinute = perMinute;
    this.#now = now;
  }

  /** Takes one request of a caller. */
  take(caller: string): Allowance {
    const { bucket, allowance } = takeFrom(
      this.#buckets.get(caller),
      this.#perMinute,
      this.#now(),
    );
    this.#buckets.delete(caller);
    this.#buckets.set(caller, bucket);
    if (this.#buckets.size > MAX_CALLERS) {
      this.#buckets.delete(this.#buckets.keys().next().value!);
    }
    return allowance;
  }
}
