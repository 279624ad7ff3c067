import assert from "node:assert/strict";
import { createHandler } from "../../src/handlers/mod.ts";
import { fixture } from "../testdata/pictures.ts";
import { fakePipeline } from "./fake.ts";
import { get, post, problem, request } from "./requests.ts";

const PHOTO = fixture("gray.jpg");
const ALLOWED = "https://app.example";
const KEYS = ["0".repeat(64)];
const handler = createHandler({ pipeline: fakePipeline() });

function allowing(...corsOrigins: string[]) {
  return createHandler({ pipeline: fakePipeline(), corsOrigins });
}

Deno.test("an answer and an error carry the security headers", async () => {
  for (
    const response of [
      await post(handler, "/v1/analyze", PHOTO),
      await post(handler, "/v1/analyze", ""),
      await get(handler, "/v1/models"),
      await get(handler, "/nowhere"),
      await get(handler, "/healthz"),
    ]
  ) {
    await response.body?.cancel();
    const headers = Object.fromEntries(response.headers);
    assert.equal(headers["cache-control"], "no-store");
    assert.equal(headers["x-content-type-options"], "nosniff");
    assert.equal(headers["referrer-policy"], "no-referrer");
    assert.match(headers["content-security-policy"]!, /default-src 'none'/);
    assert.match(headers["x-request-id"]!, /^[0-9a-f-]{36}$/);
  }
});

const IDS: [given: string, kept: boolean][] = [
  ["abc-123_=", true],
  ["a".repeat(64), true],
  ["a".repeat(65), false],
  ["", false],
  ["two words", false],
  ["<script>", false],
  ["é", false],
  ['a","level":"error', false],
];

for (const [given, kept] of IDS) {
  Deno.test(`x-request-id "${given.slice(0, 20)}" is ${kept ? "kept" : "replaced"}`, async () => {
    const headers = { "x-request-id": given };
    const response = await post(handler, "/v1/analyze", PHOTO, headers);
    const { requestId }: { requestId: string } = await response.json();
    assert.equal(requestId, response.headers.get("x-request-id"));
    assert.equal(requestId === given, kept);
    if (!kept) assert.match(requestId, /^[0-9a-f-]{36}$/);
  });
}

Deno.test("request ids differ from request to request", async () => {
  const ids = new Set<string | null>();
  for (let i = 0; i < 5; i++) {
    ids.add((await get(handler, "/healthz")).headers.get("x-request-id"));
  }
  assert.equal(ids.size, 5);
});

const ORIGINS: [list: string[], origin: string, answer: string | null][] = [
  [[], ALLOWED, null],
  [[ALLOWED], ALLOWED, ALLOWED],
  [["https://other.example", ALLOWED], ALLOWED, ALLOWED],
  [[ALLOWED], "https://evil.example", null],
  [[ALLOWED], "https://app.example.evil.example", null],
  [[ALLOWED], "http://app.example", null],
  [[ALLOWED], "null", null],
  [["*"], "https://evil.example", "*"],
];

for (const [list, origin, answer] of ORIGINS) {
  Deno.test(`corsOrigins [${list}] answers ${origin} with ${answer}`, async () => {
    const handler = allowing(...list);
    for (
      const response of [
        await post(handler, "/v1/analyze", PHOTO, { origin }),
        await post(handler, "/v1/analyze", "", { origin }),
      ]
    ) {
      await response.body?.cancel();
      const { headers } = response;
      assert.equal(headers.get("access-control-allow-origin"), answer);
      assert.equal(headers.get("access-control-allow-credentials"), null);
      if (list.length > 0 && answer !== "*") {
        assert.match(headers.get("vary") ?? "", /origin/i);
      }
    }
  });
}

Deno.test("a preflight needs no key and names the headers and methods", async () => {
  const handler = createHandler({
    pipeline: fakePipeline(),
    corsOrigins: [ALLOWED],
    apiKeys: KEYS,
    rateLimit: 1,
  });
  for (let i = 0; i < 3; i++) {
    const response = await handler(request("/v1/analyze", {
      method: "OPTIONS",
      headers: {
        origin: ALLOWED,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,x-api-key",
      },
    }));
    assert.equal(response.status, 204);
    const headers = Object.fromEntries(response.headers);
    assert.equal(headers["access-control-allow-origin"], ALLOWED);
    assert.match(headers["access-control-allow-methods"]!, /POST/);
    assert.match(headers["access-control-allow-headers"]!, /x-api-key/i);
    assert.match(headers["access-control-allow-headers"]!, /authorization/i);
  }
});

Deno.test("a page elsewhere can read a 401, its id and its Retry-After", async () => {
  const handler = createHandler({
    pipeline: fakePipeline(),
    corsOrigins: [ALLOWED],
    apiKeys: KEYS,
  });
  const response = await get(handler, "/v1/models", { origin: ALLOWED });
  const exposed = response.headers.get("access-control-expose-headers") ?? "";
  assert.match(exposed, /x-request-id/i);
  assert.match(exposed, /retry-after/i);
  const { headers } = response;
  assert.equal(headers.get("access-control-allow-origin"), ALLOWED);
  await problem(response, "unauthenticated");
});

Deno.test("without corsOrigins a preflight is no method of ours", async () => {
  const init = { method: "OPTIONS", headers: { origin: ALLOWED } };
  const response = await handler(request("/v1/analyze", init));
  assert.equal(response.headers.get("allow"), "POST");
  await problem(response, "method_not_allowed");
});
