import { createHash, timingSafeEqual } from "node:crypto";
import { keyOf } from "./access.ts";
import { RequestError } from "./problem.ts";
import type { RateLimiter } from "./rate_limit.ts";

/** Wrong keys a network may send in a minute before none of its keys is looked at. */
export const GUESSES_PER_MINUTE = 10;
/** Networks, and pairs of a network and its key, remembered at most. */
const MAX_REMEMBERED = 10_000;

/**
 * Lets requests with an accepted key in, and lets nobody try one key after another.
 *
 * A network that has sent too many wrong keys is refused whatever it sends, right or wrong, or the
 * answer would tell. Spared are keys that it has used before, so that nobody can lock out others
 * behind the same proxy.
 */
export class KeyGuard {
  readonly #hashes: readonly Uint8Array[];
  readonly #guesses: RateLimiter;
  readonly #now: () => number;
  /** Until when, in milliseconds, no new key of a network is looked at. */
  readonly #shut = new Map<string, number>();
  readonly #used = new Map<string, true>();

  /** `hashes` are SHA-256 in hexadecimal; `guesses` counts wrong keys by network. */
  constructor(
    hashes: readonly string[],
    guesses: RateLimiter,
    now: () => number = Date.now,
  ) {
    this.#hashes = hashes.map((hash) =>
      Uint8Array.from(hash.match(/../g) ?? [], (pair) => parseInt(pair, 16))
    );
    this.#guesses = guesses;
    this.#now = now;
  }

  /**
   * Checks a request's key, in constant time.
   *
   * @returns The key's hash in hexadecimal.
   * @throws {RequestError} `unauthenticated` without a key, `forbidden` with a wrong one,
   * `rate_limited` after too many wrong ones
   */
  async check(request: Request, network: string): Promise<string> {
    const key = keyOf(request);
    if (key === undefined) {
      throw new RequestError(
        "unauthenticated",
        "Send an API key as Authorization: Bearer <key> or X-API-Key: <key>",
        { headers: { "www-authenticate": 'Bearer realm="mien"' } },
      );
    }
    const digest = createHash("sha256").update(key).digest();
    const hash = digest.toString("hex"), pair = `${network} ${hash}`;
    const shutMs = (this.#shut.get(network) ?? 0) - this.#now();
    if (shutMs > 0 && !this.#used.has(pair)) {
      throw tooMany(Math.ceil(shutMs / 1000));
    }
    let known = false;
    for (const hash of this.#hashes) {
      if (timingSafeEqual(digest, hash)) known = true;
    }
    if (known) {
      remember(this.#used, pair, true);
      return hash;
    }
    const guess = await this.#guesses.take(network);
    if (guess.remaining === 0) {
      const until = this.#now() + guess.resetSeconds * 1000;
      remember(this.#shut, network, until);
    }
    if (!guess.allowed) throw tooMany(guess.resetSeconds);
    throw new RequestError(
      "forbidden",
      "The API key is not accepted: check it",
    );
  }
}

/** Sets an entry as the newest; the oldest goes when there are too many. */
function remember<Value>(
  map: Map<string, Value>,
  name: string,
  value: Value,
): void {
  map.delete(name);
  map.set(name, value);
  if (map.size > MAX_REMEMBERED) map.delete(map.keys().next().value!);
}

function tooMany(seconds: number): RequestError {
  return new RequestError(
    "rate_limited",
    `Too many wrong API keys came from this address: retry in ${seconds} s`,
    { headers: { "retry-after": String(seconds) } },
  );
}
