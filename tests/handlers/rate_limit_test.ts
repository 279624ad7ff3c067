import assert from "node:assert/strict";
import { createHandler } from "../../src/handlers/mod.ts";
import { MemoryRateLimiter } from "../../src/handlers/rate_limit.ts";
import { fakePipeline } from "./fake.ts";
import { get, problem, request } from "./requests.ts";

function limiter(perMinute: number) {
  const clock = { now: 1000 };
  return { clock, limits: new MemoryRateLimiter(perMinute, () => clock.now) };
}

Deno.test("MemoryRateLimiter allows a minute's requests at once and then none", () => {
  const { limits } = limiter(3);
  const taken = [1, 2, 3, 4].map(() => limits.take("a"));
  assert.deepEqual(taken.map((a) => a.allowed), [true, true, true, false]);
  assert.deepEqual(taken.map((a) => a.remaining), [2, 1, 0, 0]);
  assert.deepEqual(taken.map((a) => a.resetSeconds), [0, 0, 20, 20]);
  assert.ok(taken.every((a) => a.limit === 3));
});

Deno.test("MemoryRateLimiter refills evenly, and a refused request costs nothing", () => {
  const { clock, limits } = limiter(6);
  for (let i = 0; i < 6; i++) limits.take("a");
  clock.now += 9_999;
  assert.equal(limits.take("a").allowed, false);
  assert.equal(limits.take("a").resetSeconds, 1);
  clock.now += 2;
  assert.equal(limits.take("a").allowed, true);
  assert.equal(limits.take("a").allowed, false);
});

Deno.test("MemoryRateLimiter never saves up more than a minute's requests", () => {
  const { clock, limits } = limiter(2);
  limits.take("a");
  clock.now += 3_600_000;
  const allowed = [1, 2, 3].map(() => limits.take("a").allowed);
  assert.deepEqual(allowed, [true, true, false]);
});

Deno.test("MemoryRateLimiter counts callers apart", () => {
  const { limits } = limiter(1);
  assert.equal(limits.take("a").allowed, true);
  assert.equal(limits.take("b").allowed, true);
  assert.equal(limits.take("a").allowed, false);
});

Deno.test("MemoryRateLimiter forgets the caller idle longest past 10,000", () => {
  const { limits } = limiter(1);
  limits.take("first");
  for (let i = 0; i < 9_999; i++) limits.take(`caller ${i}`);
  assert.equal(limits.take("first").allowed, false);
  limits.take("one more");
  assert.equal(limits.take("caller 1").allowed, false);
  assert.equal(limits.take("caller 0").allowed, true);
});

function from(hostname: string) {
  return { remoteAddr: { hostname } };
}

Deno.test("rateLimit shows what is left on every answer, errors included", async () => {
  const handler = createHandler({ pipeline: fakePipeline(), rateLimit: 2 });
  const paths = ["/v1/models", "/v1/models/nobody"];
  for (const [index, path] of paths.entries()) {
    const response = await get(handler, path);
    await response.body?.cancel();
    assert.equal(response.headers.get("ratelimit-limit"), "2");
    const remaining = response.headers.get("ratelimit-remaining");
    assert.equal(remaining, String(1 - index));
    assert.ok(response.headers.has("ratelimit-reset"));
  }
  await problem(await get(handler, "/v1/models"), "rate_limited", /2 requests/);
});

Deno.test("rateLimit counts addresses apart and leaves open paths alone", async () => {
  const handler = createHandler({ pipeline: fakePipeline(), rateLimit: 1 });
  async function status(path: string, hostname: string): Promise<number> {
    const response = await handler(request(path), from(hostname));
    await response.body?.cancel();
    return response.status;
  }
  assert.equal(await status("/v1/models", "192.0.2.1"), 200);
  assert.equal(await status("/v1/models", "192.0.2.2"), 200);
  assert.equal(await status("/v1/models", "192.0.2.1"), 429);
  for (let i = 0; i < 3; i++) {
    assert.equal(await status("/healthz", "192.0.2.1"), 200);
  }
});

Deno.test("rateLimit counts keys, not addresses, where keys are set", async () => {
  const apiKeys = [
    "2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90", // alice
    "81b637d8fcd2c6da6359e6963113a1170de795e4b725b84d1e0b4cfd9ec58ce9", // bob
  ];
  const pipeline = fakePipeline();
  const handler = createHandler({ pipeline, apiKeys, rateLimit: 1 });
  async function status(key: string, hostname: string): Promise<number> {
    const headers = { "x-api-key": key };
    const init = request("/v1/models", { headers });
    const response = await handler(init, from(hostname));
    await response.body?.cancel();
    return response.status;
  }
  assert.equal(await status("alice", "192.0.2.1"), 200);
  assert.equal(await status("bob", "192.0.2.1"), 200);
  assert.equal(await status("alice", "192.0.2.9"), 429);
});

Deno.test("without rateLimit no answer speaks of one", async () => {
  const handler = createHandler({ pipeline: fakePipeline() });
  const response = await get(handler, "/v1/models");
  await response.body?.cancel();
  assert.equal(response.headers.has("ratelimit-limit"), false);
});
