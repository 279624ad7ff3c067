import { networkOf } from "./address.ts";
import { GUESSES_PER_MINUTE, KeyGuard } from "./key_guard.ts";
import { RequestError } from "./problem.ts";
import {
  type Allowance,
  MemoryRateLimiter,
  type RateLimiter,
} from "./rate_limit.ts";
import { type BucketStore, SharedRateLimiter } from "./shared_rate_limit.ts";

/** Who may call, and how often. */
export interface CallerOptions {
  /** SHA-256 of accepted API keys in hexadecimal; empty means open. */
  apiKeys: readonly string[];
  /** Requests per minute and caller; absent means unlimited. */
  rateLimit?: number | undefined;
  /** Where several processes count together; absent means in memory. */
  store?: BucketStore | undefined;
  /** Gets a sentence whenever the store fails. */
  warn(sentence: string): void;
}

/** Tells callers apart by their key, or where none is needed by their network, and limits them. */
export class Callers {
  readonly #keys: KeyGuard | undefined;
  readonly #requests: RateLimiter | undefined;

  /** Everybody is let in, however often, where the options do not say otherwise. */
  constructor({ apiKeys, rateLimit, store, warn }: CallerOptions) {
    const limiter = (name: string, perMinute: number) =>
      store
        ? new SharedRateLimiter(perMinute, { name, store, warn })
        : new MemoryRateLimiter(perMinute);
    this.#requests = rateLimit ? limiter("requests", rateLimit) : undefined;
    this.#keys = apiKeys.length > 0
      ? new KeyGuard(apiKeys, limiter("keys", GUESSES_PER_MINUTE))
      : undefined;
  }

  /**
   * Who sends a request from a peer's address.
   *
   * @throws {RequestError} as `KeyGuard.check()`
   */
  async identify(request: Request, address?: string): Promise<string> {
    const network = networkOf(address);
    return await this.#keys?.check(request, network) ?? network;
  }

  /**
   * Takes one request, or one frame, off a caller's limit; undefined where there is none.
   *
   * @throws {RequestError} `rate_limited`
   */
  async count(caller: string): Promise<Allowance | undefined> {
    const allowance = await this.#requests?.take(caller);
    if (!allowance || allowance.allowed) return allowance;
    throw new RequestError(
      "rate_limited",
      `The limit is ${allowance.limit} requests a minute: retry in ${allowance.resetSeconds} s`,
      {
        headers: {
          ...rateHeaders(allowance),
          "retry-after": String(allowance.resetSeconds),
        },
      },
    );
  }
}

/** Headers that tell a caller what is left. */
export function rateHeaders(allowance: Allowance): Record<string, string> {
  return {
    "ratelimit-limit": String(allowance.limit),
    "ratelimit-remaining": String(allowance.remaining),
    "ratelimit-reset": String(allowance.resetSeconds),
  };
}
