import type { Bucket } from "./rate_limit.ts";
import type { BucketStore } from "./shared_rate_limit.ts";

/** As much of a Deno KV database as is used here; other runtimes lack its types. */
interface Database {
  get(key: string[]): Promise<{ value: unknown; versionstamp: string | null }>;
  atomic(): {
    check(entry: { key: string[]; versionstamp: string | null }): {
      set(key: string[], value: unknown, options: { expireIn: number }): {
        commit(): Promise<{ ok: boolean }>;
      };
    };
  };
  close(): void;
}

type OpenKv = (path?: string) => Promise<Database>;

/** A bucket store in Deno KV. */
export interface KvStore extends BucketStore, AsyncDisposable {}

/**
 * Keeps buckets in Deno KV. The database is opened at once, and again when it is asked after that
 * failed.
 *
 * @param path As `Deno.openKv` has it; absent means the program's own, on Deno Deploy the one
 * assigned to it.
 * @throws {RangeError} when the runtime has no Deno KV
 */
export function openKvStore(path?: string): KvStore {
  const { openKv } = (globalThis as { Deno?: { openKv?: OpenKv } }).Deno ?? {};
  if (!openKv) {
    throw new RangeError(
      "Cannot open Deno KV, for this runtime has none: start Deno with --unstable-kv, or set MIEN_RATE_LIMIT_STORE=memory",
    );
  }
  const open = openKv;
  let opened: Promise<Database> | undefined = open(path);
  opened.catch(() => {});

  async function database(): Promise<Database> {
    opened ??= open(path);
    try {
      return await opened;
    } catch (error) {
      opened = undefined;
      throw error;
    }
  }

  const keyOf = (name: string) => ["mien", "rate_limit", name];
  return {
    async read(name) {
      const { value, versionstamp } = await (await database()).get(keyOf(name));
      return {
        bucket: value === null ? undefined : value as Bucket,
        version: versionstamp,
      };
    },
    async write(name, bucket, version, lifetimeMs) {
      const key = keyOf(name), versionstamp = version as string | null;
      const { ok } = await (await database()).atomic()
        .check({ key, versionstamp })
        .set(key, bucket, { expireIn: lifetimeMs }).commit();
      return ok;
    },
    async [Symbol.asyncDispose]() {
      (await opened?.catch(() => undefined))?.close();
    },
  };
}
