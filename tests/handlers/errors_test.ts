import assert from "node:assert/strict";
import {
  createHandler,
  type HandlerOptions,
  type LogEntry,
} from "../../src/handlers/mod.ts";
import { PROBLEMS } from "../../src/handlers/problem.ts";
import { PipelineError } from "../../src/pipeline/mod.ts";
import type { ErrorCode } from "../../src/types.ts";
import { fixture } from "../testdata/pictures.ts";
import { fakePipeline } from "./fake.ts";
import { pipeline } from "./real.ts";
import { form, problem, request } from "./requests.ts";

const KEY = "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5";
const PHOTO = fixture("gray.jpg");
const BUSY = new PipelineError("overloaded", "The queue is full: retry");

/** A PNG whose header claims another size. */
function claim(width: number, height: number): Uint8Array<ArrayBuffer> {
  const bytes = fixture("rgba.png");
  const view = new DataView(bytes.buffer);
  view.setUint32(16, width);
  view.setUint32(20, height);
  return bytes;
}

interface Case {
  /** What is sent. */
  what: string;
  code: ErrorCode;
  detail: RegExp;
  path?: string;
  init?: RequestInit;
  options?: Partial<HandlerOptions>;
  /** Requests sent before the one that fails. */
  before?: number;
  headers?: Record<string, RegExp>;
}

function body(bytes: BodyInit): RequestInit {
  return { method: "POST", body: bytes };
}

const POST = body(PHOTO);

const CASES: Case[] = [
  {
    what: "an empty body",
    code: "invalid_request",
    detail: /empty/,
    init: body(""),
  },
  {
    what: "a crop that is not square",
    code: "invalid_request",
    detail: /input=crop.*square.*47x33/,
    path: "/v1/analyze?input=crop",
  },
  {
    what: "no key",
    code: "unauthenticated",
    detail: /Bearer.*X-API-Key/,
    options: { apiKeys: [KEY] },
    headers: { "www-authenticate": /^Bearer/ },
  },
  {
    what: "a wrong key",
    code: "forbidden",
    detail: /key/,
    init: { ...POST, headers: { "x-api-key": "guess" } },
    options: { apiKeys: [KEY] },
  },
  {
    what: "an unknown path",
    code: "not_found",
    detail: /\/v1\/faces.*\/docs/,
    path: "/v1/faces",
  },
  {
    what: "a path that only looks like a route",
    code: "not_found",
    detail: /openapi-json/,
    path: "/openapi-json",
    init: {},
  },
  {
    what: "a model that does not exist",
    code: "unknown_model",
    detail: /"nobody".*expression_mini_xception/,
    path: "/v1/analyze?model=nobody",
  },
  {
    what: "a model of another task",
    code: "unknown_model",
    detail: /"face_detection_yunet".*expression_mini_xception/,
    path: "/v1/analyze?model=face_detection_yunet",
  },
  {
    what: "another model's card",
    code: "unknown_model",
    detail: /"nobody".*face_detection_yunet/,
    path: "/v1/models/nobody",
    init: {},
  },
  {
    what: "GET where POST is served",
    code: "method_not_allowed",
    detail: /GET.*\/v1\/analyze.*POST/,
    init: {},
    headers: { allow: /^POST$/ },
  },
  {
    what: "POST where GET is served",
    code: "method_not_allowed",
    detail: /POST.*\/v1\/models.*GET/,
    path: "/v1/models",
    headers: { allow: /^GET, HEAD$/ },
  },
  {
    what: "a body over the limit",
    code: "body_too_large",
    detail: /1024 bytes/,
    init: body(new Uint8Array(1025)),
    options: { maxBodyBytes: 1024 },
  },
  {
    what: "too many pixels",
    code: "image_too_large",
    detail: /5000x5000.*24000000/,
    init: body(claim(5000, 5000)),
  },
  {
    what: "a side too long",
    code: "image_too_large",
    detail: /12001x100.*12000/,
    init: body(claim(12001, 100)),
  },
  {
    what: "a GIF",
    code: "unsupported_image",
    detail: /GIF.*JPEG, PNG or WebP/,
    init: {
      ...body("GIF89a________________"),
      headers: { "content-type": "image/jpeg" },
    },
  },
  {
    what: "text",
    code: "unsupported_image",
    detail: /unknown.*JPEG/,
    init: body("face"),
  },
  {
    what: "an empty image part",
    code: "unsupported_image",
    detail: /empty/,
    init: {
      ...body(JSON.stringify({ image: "data:image/jpeg;base64," })),
      headers: { "content-type": "application/json" },
    },
  },
  {
    what: "half a JPEG header",
    code: "corrupt_image",
    detail: /Cannot read/,
    init: body(PHOTO.slice(0, 20)),
  },
  {
    what: "half a PNG",
    code: "corrupt_image",
    detail: /damaged or incomplete/,
    init: body(fixture("rgba.png").slice(0, 200)),
  },
  {
    what: "a side too short",
    code: "image_too_small",
    detail: /31x400.*32/,
    init: body(claim(31, 400)),
  },
  {
    what: "an option that has not landed",
    code: "unsupported_option",
    detail: /format=aws.*mien/,
    path: "/v1/analyze?format=aws",
  },
  {
    what: "a neutral photo without a face",
    code: "no_face_in_neutral",
    detail: /neutral photo shows no face/,
    path: "/v1/analyze?attributes=actionUnits",
    init: body(
      form(fixture("astronaut.jpg"), {
        neutral: new Blob([fixture("coffee.jpg")]),
      }),
    ),
  },
  {
    what: "a request over the rate",
    code: "rate_limited",
    detail: /1 requests a minute.*(60|59) s/,
    options: { rateLimit: 1, pipeline: fakePipeline() },
    before: 1,
    headers: {
      "retry-after": /^(60|59)$/,
      "ratelimit-limit": /^1$/,
      "ratelimit-remaining": /^0$/,
      "ratelimit-reset": /^(60|59)$/,
    },
  },
  {
    what: "a full queue",
    code: "overloaded",
    detail: /queue is full/,
    options: {
      pipeline: fakePipeline({ analyze: () => Promise.reject(BUSY) }),
    },
    headers: { "retry-after": /^1$/ },
  },
  {
    what: "models that are loading",
    code: "not_ready",
    detail: /loading/,
    options: { pipeline: fakePipeline({ ready: new Promise(() => {}) }) },
    headers: { "retry-after": /^1$/ },
  },
  {
    what: "an analysis past its deadline",
    code: "deadline_exceeded",
    detail: /too long/,
    options: {
      pipeline: fakePipeline({
        analyze: () =>
          Promise.reject(new PipelineError("deadline_exceeded", "too long")),
      }),
    },
  },
  {
    what: "a bug",
    code: "internal",
    detail: /^The server could not finish this request/,
    options: {
      pipeline: fakePipeline({
        analyze: () => Promise.reject(new TypeError("secret of the house")),
      }),
    },
  },
];

for (const test of CASES) {
  Deno.test(`POST /v1/analyze and others answer ${test.code} to ${test.what}`, async () => {
    const handler = createHandler({ pipeline, ...test.options });
    const { path = "/v1/analyze", init = POST } = test;
    for (let sent = 0; sent < (test.before ?? 0); sent++) {
      await (await handler(request(path, init))).body?.cancel();
    }
    const headers = new Headers(init.headers);
    headers.set("x-request-id", "case-1");
    const response = await handler(request(path, { ...init, headers }));
    const { requestId } = await problem(response, test.code, test.detail);
    assert.equal(requestId, "case-1");
    for (const [name, value] of Object.entries(test.headers ?? {})) {
      assert.match(response.headers.get(name) ?? "", value, name);
    }
  });
}

Deno.test("every error code that can occur now has a case", () => {
  const later = ["gpu_unavailable"];
  const covered = new Set<string>(CASES.map((test) => test.code));
  const missing = Object.keys(PROBLEMS).filter((code) => !covered.has(code));
  assert.deepEqual(missing.sort(), later.sort());
});

Deno.test("internal leaks nothing to the client and everything to the log", async () => {
  const log: LogEntry[] = [];
  const handler = createHandler({
    pipeline: fakePipeline({
      analyze: () => Promise.reject(new TypeError("secret of the house")),
    }),
    log: (entry) => log.push(entry),
  });
  const response = await handler(request("/v1/analyze", POST));
  assert.doesNotMatch(await response.text(), /secret|TypeError|errors_test/);
  assert.equal(log.length, 1);
  assert.match(log[0]!.error!, /TypeError: secret of the house\n.*errors_test/);
  assert.equal(log[0]!.status, 500);
});

Deno.test("internal hides the detail of a pipeline's own internal failure", async () => {
  const error = new PipelineError("internal", "RangeError: secret at wasm.ts");
  const handler = createHandler({
    pipeline: fakePipeline({ analyze: () => Promise.reject(error) }),
  });
  const response = await handler(request("/v1/analyze", POST));
  assert.doesNotMatch((await problem(response, "internal")).detail, /secret/);
});

Deno.test("a client that went away is no internal error", async () => {
  const log: LogEntry[] = [];
  const client = new AbortController();
  const handler = createHandler({
    pipeline: fakePipeline({
      analyze: (_bytes, _options, call) => {
        client.abort();
        return Promise.reject(call!.signal!.reason);
      },
    }),
    log: (entry) => log.push(entry),
  });
  const { signal } = client;
  await handler(request("/v1/analyze", { ...POST, signal }));
  assert.equal(log[0]!.status, 400);
  assert.equal(log[0]!.error, undefined);
});
