import assert from "node:assert/strict";
import { keyOf } from "../../src/handlers/access.ts";
import { createHandler, type LogEntry } from "../../src/handlers/mod.ts";
import { fixture } from "../testdata/pictures.ts";
import { fakePipeline } from "./fake.ts";
import { get, post, problem, request } from "./requests.ts";

/** SHA-256 of "alice" and "bob". */
const KEYS = [
  "2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90",
  "81b637d8fcd2c6da6359e6963113a1170de795e4b725b84d1e0b4cfd9ec58ce9",
];
const PHOTO = fixture("gray.jpg");
const closed = createHandler({ pipeline: fakePipeline(), apiKeys: KEYS });

const HEADERS: [headers: Record<string, string>, key: string | undefined][] = [
  [{}, undefined],
  [{ authorization: "Bearer alice" }, "alice"],
  [{ authorization: "bearer  alice" }, "alice"],
  [{ authorization: "Basic YWxpY2U6" }, undefined],
  [{ authorization: "Bearer" }, undefined],
  [{ authorization: "Bearer a b" }, undefined],
  [{ "x-api-key": "alice" }, "alice"],
  [{ authorization: "Bearer alice", "x-api-key": "bob" }, "alice"],
];

Deno.test("keyOf() reads Bearer and X-API-Key and nothing else", () => {
  for (const [headers, key] of HEADERS) {
    assert.equal(
      keyOf(request("/", { headers })),
      key,
      JSON.stringify(headers),
    );
  }
});

for (
  const headers of [
    { authorization: "Bearer alice" },
    { authorization: "Bearer bob" },
    { "x-api-key": "alice" },
    { "x-api-key": "bob" },
  ]
) {
  Deno.test(`apiKeys lets ${JSON.stringify(headers)} in`, async () => {
    const response = await post(closed, "/v1/analyze", PHOTO, headers);
    assert.equal(response.status, 200, await response.text());
  });
}

for (
  const key of ["", "carol", "Alice", "alice2", KEYS[0]!, "alice,bob"]
) {
  Deno.test(`apiKeys keeps "${key.slice(0, 10)}" out`, async () => {
    const headers = { "x-api-key": key };
    const response = await post(closed, "/v1/analyze", PHOTO, headers);
    await problem(response, "forbidden", /key is not accepted/);
  });
}

Deno.test("apiKeys takes no key from the query", async () => {
  const response = await get(closed, "/v1/models?key=alice&api_key=alice");
  await problem(response, "unauthenticated");
});

const PATHS: [path: string, open: boolean][] = [
  ["/", true],
  ["/healthz", true],
  ["/readyz", true],
  ["/openapi.json", true],
  ["/docs", true],
  ["/docs/start.js", true],
  ["/demo/api.js", true],
  ["/v1/models", false],
  ["/v1/models/face_detection_yunet", false],
  [
    "/v1/models/face_detection_yunet/files/face_detection_yunet.onnx",
    false,
  ],
  ["/v1/nothing", false],
  ["/docs/../v1/models", false],
  ["/docs/%2e%2e/v1/models", false],
  ["/demo/..%2fv1%2fmodels", true],
  ["//v1/models", false],
];

for (const [path, open] of PATHS) {
  Deno.test(`${path} ${open ? "stays open" : "needs a key"} when keys are set`, async () => {
    const url = `http://mien.test${path}`;
    const response = await closed(new Request(url));
    const { status } = response;
    await response.body?.cancel();
    if (open) assert.ok(status === 200 || status === 404, String(status));
    else assert.equal(status, 401);
    assert.equal(response.headers.has("www-authenticate"), !open);
  });
}

Deno.test("/readyz tells callers with a key everything and others the status", async () => {
  const settings = { queue: 4 };
  const pipeline = fakePipeline();
  const handler = createHandler({ pipeline, apiKeys: KEYS, settings });
  const open = createHandler({ pipeline, settings });
  const all = {
    status: "ready",
    model: "expression_mini_xception",
    settings,
  };
  const key = { "x-api-key": "alice" }, wrong = { "x-api-key": "carol" };
  for (
    const [response, body] of [
      [await get(handler, "/readyz"), { status: "ready" }],
      [await get(handler, "/readyz", wrong), { status: "ready" }],
      [await get(handler, "/readyz", key), all],
      [await get(open, "/readyz"), all],
    ] as const
  ) {
    assert.equal(response.status, 200);
    assert.deepEqual(await response.json(), body);
  }
});

Deno.test("/readyz answers 503 while models load and when they cannot", async () => {
  const failed = Promise.reject(new Error("no weights"));
  failed.catch(() => {});
  for (
    const [ready, status] of [
      [new Promise<void>(() => {}), "starting"],
      [failed, "failed"],
    ] as const
  ) {
    const handler = createHandler({ pipeline: fakePipeline({ ready }) });
    assert.equal((await get(handler, "/healthz")).status, 200);
    const response = await get(handler, "/readyz");
    assert.equal(response.status, 503);
    assert.equal(response.headers.get("retry-after"), "1");
    assert.equal((await response.json()).status, status);
    await problem(await post(handler, "/v1/analyze", PHOTO), "not_ready");
  }
});

Deno.test("keys never reach the log, a problem or /readyz", async () => {
  const log: LogEntry[] = [];
  const handler = createHandler({
    pipeline: fakePipeline(),
    apiKeys: KEYS,
    log: (entry) => log.push(entry),
  });
  const texts = [];
  for (const key of ["alice", "carol"]) {
    for (const path of ["/v1/models/x", "/readyz"]) {
      const response = await get(handler, path, { "x-api-key": key });
      texts.push(await response.text(), JSON.stringify([...response.headers]));
    }
  }
  texts.push(JSON.stringify(log));
  assert.equal(log.length, 4);
  for (const secret of ["alice", "carol", ...KEYS]) {
    assert.ok(!texts.join().includes(secret), secret);
  }
});
