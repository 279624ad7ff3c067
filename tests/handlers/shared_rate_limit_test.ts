import assert from "node:assert/strict";
import { openKvStore } from "../../src/handlers/kv_store.ts";
import { createHandler } from "../../src/handlers/mod.ts";
import type { Bucket } from "../../src/handlers/rate_limit.ts";
import {
  type BucketStore,
  SharedRateLimiter,
} from "../../src/handlers/shared_rate_limit.ts";
import { readExposition } from "./exposition.ts";
import { fakePipeline } from "./fake.ts";
import { get } from "./requests.ts";

const SHARED = new URL("../../src/handlers/", import.meta.url);

/** A store that waits at every step, as a database elsewhere does, and counts what it is asked. */
class SlowStore implements BucketStore, AsyncDisposable {
  readonly buckets = new Map<string, { bucket: Bucket; version: number }>();
  asked = 0;
  conflicts = 0;
  lifetimes = new Set<number>();

  async read(name: string) {
    this.asked++;
    await pause();
    const { bucket, version } = this.buckets.get(name) ?? {};
    return { bucket, version };
  }

  async write(name: string, bucket: Bucket, version: unknown, life: number) {
    await pause();
    this.lifetimes.add(life);
    const known = this.buckets.get(name)?.version;
    if (known !== version) {
      this.conflicts++;
      return false;
    }
    this.buckets.set(name, { bucket, version: (known ?? 0) + 1 });
    return true;
  }

  async [Symbol.asyncDispose]() {}
}

function pause(): Promise<void> {
  return new Promise((done) => setTimeout(done));
}

const STORES: [what: string, open: () => BucketStore & AsyncDisposable][] = [
  ["a slow store", () => new SlowStore()],
  ["Deno KV", () => openKvStore(":memory:")],
];

/** Limiters of several processes over one store, with a clock that stands still. */
function processes(count: number, perMinute: number, store: BucketStore) {
  const clock = { now: 1_800_000_000_000 }, warnings: string[] = [];
  const limiters = Array.from(
    { length: count },
    () =>
      new SharedRateLimiter(perMinute, {
        name: "test",
        store,
        warn: (sentence) => warnings.push(sentence),
        now: () => clock.now,
      }),
  );
  return { clock, warnings, limiters };
}

for (const [what, open] of STORES) {
  Deno.test(`processes that share ${what} allow a minute's requests together`, async () => {
    await using store = open();
    const { limiters: [a, b], warnings } = processes(2, 3, store);
    const taken = [
      await a!.take("x"),
      await b!.take("x"),
      await a!.take("x"),
      await b!.take("x"),
    ];
    assert.deepEqual(taken.map((t) => t.allowed), [true, true, true, false]);
    assert.deepEqual(taken.map((t) => t.remaining), [2, 1, 0, 0]);
    assert.deepEqual(taken.map((t) => t.resetSeconds), [0, 0, 20, 20]);
    assert.equal((await b!.take("y")).allowed, true);
    assert.deepEqual(warnings, []);
  });

  Deno.test(`what ${what} keeps refills evenly, and a refused request costs nothing`, async () => {
    await using store = open();
    const { limiters: [a, b], clock } = processes(2, 6, store);
    for (let i = 0; i < 6; i++) await a!.take("x");
    clock.now += 9_999;
    for (let i = 0; i < 5; i++) {
      const { allowed, resetSeconds } = await b!.take("x");
      assert.deepEqual({ allowed, resetSeconds }, {
        allowed: false,
        resetSeconds: 1,
      });
    }
    clock.now += 2;
    assert.equal((await b!.take("x")).allowed, true);
    assert.equal((await a!.take("x")).allowed, false);
  });

  Deno.test(`of 200 requests at once in four processes, ${what} lets exactly 50 through`, async () => {
    await using store = open();
    const { limiters, warnings } = processes(4, 50, store);
    const taken = await Promise.all(
      Array.from({ length: 200 }, (_, index) => limiters[index % 4]!.take("x")),
    );
    assert.equal(taken.filter(({ allowed }) => allowed).length, 50);
    assert.deepEqual(warnings, []);
    if (store instanceof SlowStore) {
      assert.ok(store.conflicts > 0, "the processes never met");
      assert.ok(store.asked < 50, `${store.asked} exchanges`);
    }
  });
}

Deno.test("a caller who hammers one process costs the store nothing more", async () => {
  const store = new SlowStore();
  const { limiters: [a] } = processes(1, 2, store);
  await a!.take("x");
  await a!.take("x");
  const { asked } = store;
  for (let i = 0; i < 100; i++) {
    assert.equal((await a!.take("x")).allowed, false);
  }
  assert.equal(store.asked, asked);
});

Deno.test("the store gets neither addresses nor keys, and may forget after a minute", async () => {
  const store = new SlowStore();
  const { limiters: [a] } = processes(1, 2, store);
  await a!.take("192.0.2.77");
  const [name] = [...store.buckets.keys()];
  assert.match(name!, /^test\/[0-9a-f]{64}$/);
  assert.deepEqual([...store.lifetimes], [60_000]);
});

const FAULTS: [what: string, store: BucketStore, sentence: RegExp][] = [
  [
    "rejects reads",
    {
      read: () => Promise.reject(new Error("no database")),
      write: () => Promise.resolve(true),
    },
    /no database/,
  ],
  [
    "rejects writes",
    {
      read: () => Promise.resolve({ bucket: undefined, version: null }),
      write: () => Promise.reject(new Error("quota is used up")),
    },
    /quota is used up/,
  ],
  [
    "never answers",
    {
      read: () => new Promise(() => {}),
      write: () => Promise.resolve(true),
    },
    /no answer within 500 ms/,
  ],
];

for (const [what, faulty, sentence] of FAULTS) {
  Deno.test(`where the store ${what}, this process counts by itself and says so once`, async () => {
    let asked = 0;
    const store: BucketStore = {
      read: (name) => {
        asked++;
        return faulty.read(name);
      },
      write: faulty.write,
    };
    const { limiters: [a], clock, warnings } = processes(1, 2, store);
    const taken = [await a!.take("x"), await a!.take("x"), await a!.take("x")];
    assert.deepEqual(taken.map((t) => t.allowed), [true, true, false]);
    assert.equal(warnings.length, 1);
    assert.match(warnings[0]!, sentence);
    assert.match(warnings[0]!, /by itself for 10 s/);
    assert.equal(asked, 1);
    clock.now += 10_001;
    await a!.take("y");
    assert.equal(asked, 2);
    assert.equal(warnings.length, 2);
  });
}

Deno.test("where others always write first, this process's own count stands, without a warning", async () => {
  const { limiters: [a], warnings } = processes(1, 2, {
    read: () => Promise.resolve({ bucket: undefined, version: null }),
    write: () => Promise.resolve(false),
  });
  const taken = [await a!.take("x"), await a!.take("x"), await a!.take("x")];
  assert.deepEqual(taken.map((t) => t.allowed), [true, true, false]);
  assert.deepEqual(warnings, []);
});

Deno.test("handlers with one store share callers' limits; a failure is warned of and counted", async () => {
  const rateLimitStore = new SlowStore(), warnings: string[] = [];
  const [a, b, broken] = [
    rateLimitStore,
    rateLimitStore,
    FAULTS[0]![1],
  ].map((rateLimitStore) =>
    createHandler({
      pipeline: fakePipeline(),
      rateLimit: 2,
      rateLimitStore,
      warn: (sentence) => warnings.push(sentence),
    })
  );
  const statuses = [];
  for (const handler of [a!, b!, a!, b!, broken!, broken!]) {
    const response = await get(handler, "/v1/models");
    await response.body?.cancel();
    statuses.push(response.status);
  }
  assert.deepEqual(statuses, [200, 200, 429, 429, 200, 200]);
  assert.equal(warnings.length, 1);
  for (const [handler, count] of [[a!, 0], [broken!, 1]] as const) {
    const page = await (await get(handler, "/metrics")).text();
    const name = "mien_rate_limit_store_failures_total";
    assert.equal(readExposition(page).get(name), count);
  }
});

for (const flags of [[], ["--unstable-kv"]]) {
  Deno.test(`openKvStore() ${flags.length ? "works" : "refuses"} with ${flags.join() || "no flag"}`, async () => {
    const file = new URL("kv_store.ts", SHARED).href;
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "eval",
        "--no-config",
        ...flags,
        `import { openKvStore } from "${file}";
        await using store = openKvStore(":memory:");
        const bucket = { tokens: 1, at: 2 };
        console.log(await store.write("a", bucket, null, 60000));
        console.log(await store.write("a", bucket, null, 60000));
        console.log(JSON.stringify((await store.read("a")).bucket));`,
      ],
    }).output();
    const text = new TextDecoder().decode(flags.length ? stdout : stderr);
    assert.equal(code, flags.length ? 0 : 1, text);
    if (flags.length) assert.equal(text, 'true\nfalse\n{"tokens":1,"at":2}\n');
    else assert.match(text, /RangeError: Cannot open Deno KV.*--unstable-kv/);
  });
}
