import { createHash } from "node:crypto";
import { deferred } from "../pipeline/deferred.ts";
import {
  type Allowance,
  type Bucket,
  MemoryRateLimiter,
  type RateLimiter,
  takeFrom,
} from "./rate_limit.ts";

/** A database in which several processes keep their callers' buckets. */
export interface BucketStore {
  /** A caller's bucket, and a mark of the state it was read in. */
  read(
    name: string,
  ): Promise<{ bucket: Bucket | undefined; version: unknown }>;
  /**
   * Writes a bucket unless it was written since it was read, in one step; it may be forgotten after
   * `lifetimeMs`.
   *
   * @returns Whether it was written.
   */
  write(
    name: string,
    bucket: Bucket,
    version: unknown,
    lifetimeMs: number,
  ): Promise<boolean>;
}

/** How a shared limiter is set up. */
export interface SharedOptions {
  /** What is counted: limiters of different names share a store without meeting. */
  name: string;
  store: BucketStore;
  /** Gets a sentence whenever the store fails. */
  warn(sentence: string): void;
  /** A clock in milliseconds since 1970. @default {Date.now} */
  now?: () => number;
}

/** By then every bucket is full again. */
const LIFETIME_MS = 60_000;
/** Longest wait for the store. */
const TIMEOUT_MS = 500;
/** How long the store is left alone after a failure. */
const REST_MS = 10_000;
/** Times a bucket is tried to be written that other processes write too. */
const ATTEMPTS = 10;

/**
 * Counts in a store that other processes count in too.
 *
 * This process's own count goes first, so that whoever hammers it costs no store anything. It also
 * stands where the store fails: then each process limits for itself.
 */
export class SharedRateLimiter implements RateLimiter {
  readonly #perMinute: number;
  readonly #options: Required<SharedOptions>;
  readonly #own: MemoryRateLimiter;
  /** Callers whose bucket is being taken from, and who waits for the next turn. */
  readonly #queues = new Map<string, ((allowance: Result) => void)[]>();
  #restUntil = 0;

  /** The store is asked first when somebody takes. */
  constructor(perMinute: number, options: SharedOptions) {
    this.#perMinute = perMinute;
    this.#options = { now: Date.now, ...options };
    this.#own = new MemoryRateLimiter(perMinute, this.#options.now);
  }

  /** Takes one request of a caller. Never rejects. */
  async take(caller: string): Promise<Allowance> {
    const own = this.#own.take(caller);
    if (!own.allowed || this.#options.now() < this.#restUntil) return own;
    const { promise, resolve } = deferred<Result>();
    const queue = this.#queues.get(caller);
    if (queue) queue.push(resolve);
    else {
      this.#queues.set(caller, [resolve]);
      this.#serve(caller);
    }
    return await promise ?? own;
  }

  /** Answers all who wait for a caller's bucket, together: one exchange for as many as came. */
  async #serve(caller: string): Promise<void> {
    const queue = this.#queues.get(caller)!;
    while (queue.length > 0) {
      const turn = queue.splice(0);
      const results = await this.#taken(caller, turn.length);
      turn.forEach((resolve, index) => resolve(results[index]));
    }
    this.#queues.delete(caller);
  }

  /** So many requests of one caller; empty where the store is of no help. */
  async #taken(caller: string, count: number): Promise<Allowance[]> {
    try {
      return await inTime(this.#exchange(caller, count));
    } catch (error) {
      this.#restUntil = this.#options.now() + REST_MS;
      const why = error instanceof Error ? error.message : String(error);
      this.#options.warn(
        `The store of the rate limit fails (${why}): this process counts by itself for ${
          REST_MS / 1000
        } s`,
      );
      return [];
    }
  }

  async #exchange(caller: string, count: number): Promise<Allowance[]> {
    const { name, store, now } = this.#options;
    // Addresses and keys stay out of the store.
    const hash = createHash("sha256").update(caller).digest("hex");
    const key = `${name}/${hash}`;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const read = await store.read(key);
      let { bucket } = read;
      const allowances: Allowance[] = [];
      for (let i = 0; i < count; i++) {
        const taken = takeFrom(bucket, this.#perMinute, now());
        bucket = taken.bucket;
        allowances.push(taken.allowance);
      }
      if (!allowances.some(({ allowed }) => allowed)) return allowances;
      if (await store.write(key, bucket!, read.version, LIFETIME_MS)) {
        return allowances;
      }
    }
    return []; // others are quicker: this process's own count has to do
  }
}

/** Undefined: the store was of no help. */
type Result = Allowance | undefined;

async function inTime<T>(work: Promise<T>): Promise<T> {
  const late = deferred<never>();
  const timer = setTimeout(
    () => late.reject(new Error(`no answer within ${TIMEOUT_MS} ms`)),
    TIMEOUT_MS,
  );
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
