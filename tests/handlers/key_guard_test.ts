import assert from "node:assert/strict";
import { networkOf } from "../../src/handlers/address.ts";
import { GUESSES_PER_MINUTE, KeyGuard } from "../../src/handlers/key_guard.ts";
import { createHandler } from "../../src/handlers/mod.ts";
import { RequestError } from "../../src/handlers/problem.ts";
import { MemoryRateLimiter } from "../../src/handlers/rate_limit.ts";
import { fakePipeline } from "./fake.ts";
import { problem, request } from "./requests.ts";

/** SHA-256 of "alice" and "bob". */
const KEYS = [
  "2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90",
  "81b637d8fcd2c6da6359e6963113a1170de795e4b725b84d1e0b4cfd9ec58ce9",
];
const HERE = "192.0.2.1", ELSEWHERE = "192.0.2.2";

function makeGuard() {
  const clock = { now: 1_800_000_000_000 }, now = () => clock.now;
  const guesses = new MemoryRateLimiter(GUESSES_PER_MINUTE, now);
  const guard = new KeyGuard(KEYS, guesses, now);
  /** `ok`, or the code of the refusal. */
  async function tries(key: string, network = HERE): Promise<string> {
    const headers = { "x-api-key": key };
    try {
      const hash = await guard.check(request("/", { headers }), network);
      assert.ok(KEYS.includes(hash));
      return "ok";
    } catch (error) {
      assert.ok(error instanceof RequestError);
      return error.code;
    }
  }
  async function guess(times: number, network = HERE): Promise<string[]> {
    const results = [];
    for (let i = 0; i < times; i++) results.push(await tries(`k${i}`, network));
    return results;
  }
  return { clock, tries, guess };
}

Deno.test("KeyGuard refuses ten wrong keys as forbidden, and looks at no more", async () => {
  const { guess, tries } = makeGuard();
  const wrong = await guess(GUESSES_PER_MINUTE);
  assert.deepEqual(new Set(wrong), new Set(["forbidden"]));
  assert.deepEqual(await guess(3), Array(3).fill("rate_limited"));
  assert.equal(await tries("alice"), "rate_limited", "the right key is found");
  assert.equal(await tries("alice", ELSEWHERE), "ok");
});

Deno.test("KeyGuard lets keys through that a network has used before, and no others", async () => {
  const { guess, tries } = makeGuard();
  assert.equal(await tries("alice"), "ok");
  await guess(GUESSES_PER_MINUTE);
  assert.equal(await tries("alice"), "ok");
  assert.equal(await tries("bob"), "rate_limited");
});

Deno.test("KeyGuard allows one guess more when time has passed, and then none again", async () => {
  const { guess, tries, clock } = makeGuard();
  await guess(GUESSES_PER_MINUTE);
  clock.now += 5_999;
  assert.equal(await tries("carol"), "rate_limited");
  clock.now += 2;
  assert.equal(await tries("carol"), "forbidden");
  assert.equal(await tries("alice"), "rate_limited");
  clock.now += 6_001;
  assert.equal(await tries("alice"), "ok");
});

Deno.test("KeyGuard never counts right keys, however many", async () => {
  const { tries } = makeGuard();
  for (let i = 0; i < 50; i++) {
    assert.equal(await tries(i % 2 ? "alice" : "bob"), "ok");
  }
});

const SENT: [path: string, headers: HeadersInit][] = [
  ["/v1/models", { "x-api-key": "carol" }],
  ["/v1/models", { authorization: "Bearer carol" }],
  ["/metrics", { "x-api-key": "carol" }],
  ["/readyz", { "x-api-key": "carol" }],
  ["/v1/stream", { "sec-websocket-protocol": "mien.v1, key.Y2Fyb2w" }],
  ["/v2/models/expression_mien/ready", { "x-api-key": "carol" }],
];

for (const [path, headers] of SENT) {
  Deno.test(`wrong keys at ${path} in ${Object.keys(headers)} are guesses`, async () => {
    const handler = createHandler({ pipeline: fakePipeline(), apiKeys: KEYS });
    const here = { remoteAddr: { hostname: HERE } };
    for (let i = 0; i < GUESSES_PER_MINUTE; i++) {
      await (await handler(request(path, { headers }), here)).body?.cancel();
    }
    const models = () =>
      request("/v1/models", { headers: { "x-api-key": "alice" } });
    const response = await handler(models(), here);
    assert.ok(Number(response.headers.get("retry-after")) > 0);
    await problem(response, "rate_limited", /wrong API keys/);
    const ready = await handler(
      request("/readyz", { headers: { "x-api-key": "alice" } }),
      here,
    );
    assert.deepEqual(await ready.json(), { status: "ready" });
    const elsewhere = { remoteAddr: { hostname: ELSEWHERE } };
    const other = await handler(models(), elsewhere);
    await other.body?.cancel();
    assert.equal(other.status, 200);
  });
}

Deno.test("requests without a key are no guesses", async () => {
  const handler = createHandler({ pipeline: fakePipeline(), apiKeys: KEYS });
  const here = { remoteAddr: { hostname: HERE } };
  for (let i = 0; i < 20; i++) {
    await problem(
      await handler(request("/v1/models"), here),
      "unauthenticated",
    );
  }
});

const NETWORKS: [hostname: string | undefined, network: string][] = [
  ["192.0.2.1", "192.0.2.1"],
  ["::ffff:192.0.2.1", "192.0.2.1"],
  ["::1", "0:0:0:0::/64"],
  ["2001:db8::1", "2001:db8:0:0::/64"],
  ["2001:db8::ffff:1:2:3:4", "2001:db8:0:ffff::/64"],
  ["2001:0DB8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"],
  ["fe80::1%eth0", "fe80:0:0:0::/64"],
  [undefined, "unknown"],
];

for (const [hostname, network] of NETWORKS) {
  Deno.test(`networkOf() counts ${hostname} as ${network}`, () => {
    assert.equal(networkOf(hostname), network);
  });
}
