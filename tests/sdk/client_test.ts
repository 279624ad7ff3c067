import assert from "node:assert/strict";
import { createHandler } from "../../src/handlers/mod.ts";
import {
  APIError,
  ConnectionError,
  Mien,
  MienError,
  type MienOptions,
  TimeoutError,
} from "../../src/sdk/client.ts";
import { fakePipeline } from "../handlers/fake.ts";

/** A client whose requests go straight to a function. */
function client(
  answer: (request: Request, attempt: number) => Response | Promise<Response>,
  options: Partial<MienOptions> = {},
): Mien & { requests: Request[] } {
  const requests: Request[] = [];
  const mien = new Mien({
    endpoint: "http://mien.test/api",
    ...options,
    fetch: async (input, init) => {
      const request = new Request(input, init);
      requests.push(request.clone());
      return await answer(request, requests.length);
    },
  });
  return Object.assign(mien, { requests });
}

const ANSWER = { requestId: "r", faces: [] };
const PHOTO = Uint8Array.of(0xff, 0xd8, 0xff);

function refuse(status: number, headers: Record<string, string> = {}) {
  return new Response("{}", { status, headers });
}

Deno.test("Mien.analyze() posts the bytes with its options in the query", async () => {
  const mien = client(() => Response.json(ANSWER), {
    apiKey: "secret",
    headers: { "x-one": "client", "x-two": "client" },
  });
  const answer = await mien.analyze(new Blob([PHOTO], { type: "image/jpeg" }), {
    attributes: ["expression", "quality"],
    maxFaces: 3,
    coverage: 0.9,
    headers: { "x-two": "call" },
    timeoutMs: 1000,
  });
  assert.deepEqual(answer, ANSWER);
  const [request] = mien.requests;
  assert.equal(
    request!.url,
    "http://mien.test/api/v1/analyze?attributes=expression%2Cquality&maxFaces=3&coverage=0.9",
  );
  assert.equal(request!.method, "POST");
  assert.equal(request!.headers.get("authorization"), "Bearer secret");
  assert.equal(request!.headers.get("content-type"), "image/jpeg");
  assert.match(request!.headers.get("x-request-id")!, /^[0-9a-f]{32}$/);
  assert.equal(request!.headers.get("x-one"), "client");
  assert.equal(request!.headers.get("x-two"), "call");
  assert.deepEqual(await request!.bytes(), PHOTO);
});

Deno.test("Mien.analyze() sends a file that is no image as bytes, never as JSON or a form", async () => {
  const mien = client(() => Response.json(ANSWER));
  await mien.analyze(new Blob([PHOTO], { type: "application/json" }));
  const type = mien.requests[0]!.headers.get("content-type");
  assert.equal(type, "application/octet-stream");
});

Deno.test("Mien.analyze() sends a neutral face beside the photo", async () => {
  const mien = client(() => Response.json(ANSWER));
  await mien.analyze(PHOTO, { neutral: Uint8Array.of(1, 2) });
  const form = await mien.requests[0]!.formData();
  assert.deepEqual([...form.keys()], ["image", "neutral"]);
  assert.deepEqual(await (form.get("image") as File).bytes(), PHOTO);
  assert.deepEqual(
    await (form.get("neutral") as File).bytes(),
    Uint8Array.of(1, 2),
  );
});

for (const status of [408, 429, 500, 502, 503, 504]) {
  Deno.test(`Mien.analyze() tries again after ${status}, with the same body and id`, async () => {
    const mien = client((_, attempt) =>
      attempt < 3
        ? refuse(status, { "retry-after": "0" })
        : Response.json(ANSWER)
    );
    assert.deepEqual(await mien.analyze(PHOTO), ANSWER);
    assert.equal(mien.requests.length, 3);
    for (const request of mien.requests) {
      assert.deepEqual(await request.bytes(), PHOTO);
    }
    const ids = mien.requests.map(({ headers }) => headers.get("x-request-id"));
    assert.equal(new Set(ids).size, 1);
  });
}

for (const status of [400, 401, 404, 413, 422]) {
  Deno.test(`Mien.analyze() does not try again after ${status}`, async () => {
    const mien = client(() => refuse(status, { "retry-after": "0" }));
    await assert.rejects(mien.analyze(PHOTO), { name: "APIError", status });
    assert.equal(mien.requests.length, 1);
  });
}

Deno.test("Mien.analyze() gives up after maxRetries, the call's before the client's", async () => {
  for (const [own, call, tries] of [[4, undefined, 5], [4, 1, 2], [0, 2, 3]]) {
    const mien = client(
      () => refuse(503, { "retry-after": "0" }),
      own === undefined ? {} : { maxRetries: own },
    );
    const options = call === undefined ? {} : { maxRetries: call };
    await assert.rejects(mien.analyze(PHOTO, options), APIError);
    assert.equal(mien.requests.length, tries);
  }
});

Deno.test("Mien.analyze() reports at once when the server asks for more than a minute", async () => {
  const mien = client(() => refuse(429, { "retry-after": "61" }));
  await assert.rejects(mien.analyze(PHOTO), { retryAfterMs: 61_000 });
  assert.equal(mien.requests.length, 1);
});

Deno.test("Mien.analyze() waits until the date that Retry-After says", async () => {
  const date = new Date(Math.ceil(Date.now() / 1000) * 1000 + 1000);
  let answered = 0;
  const mien = client((_, attempt) => {
    answered = Date.now();
    return attempt < 2
      ? refuse(429, { "retry-after": date.toUTCString() })
      : Response.json(ANSWER);
  });
  await mien.analyze(PHOTO);
  assert.ok(answered >= date.getTime() - 20);
});

Deno.test("Mien.analyze() tries again when the connection fails, then says so with the cause", async () => {
  const cause = new TypeError("connection refused");
  const mien = client(() => Promise.reject(cause), { maxRetries: 1 });
  await assert.rejects(mien.analyze(PHOTO), (error: unknown) => {
    assert.ok(error instanceof ConnectionError && error instanceof MienError);
    assert.equal(error.code, "connection_failed");
    assert.equal(error.cause, cause);
    assert.match(error.requestId!, /^[0-9a-f]{32}$/);
    assert.equal(error.status, undefined);
    return true;
  });
  assert.equal(mien.requests.length, 2);
});

Deno.test("Mien.analyze() ends a try that takes too long, even one that does not listen", async () => {
  const never = () => new Promise<Response>(() => {});
  const mien = client(never, { timeoutMs: 20, maxRetries: 0 });
  await assert.rejects(mien.analyze(PHOTO), (error: unknown) => {
    assert.ok(
      error instanceof TimeoutError && error instanceof ConnectionError,
    );
    assert.equal(error.code, "timeout");
    assert.match(error.message, /20 ms/);
    return true;
  });
});

Deno.test("Mien.analyze() times a body that never ends, too, and tries again", async () => {
  const mien = client(
    (_, attempt) =>
      attempt === 1
        ? new Response(new ReadableStream({}))
        : Response.json(ANSWER),
    { timeoutMs: 20, maxRetries: 1 },
  );
  assert.deepEqual(await mien.analyze(PHOTO), ANSWER);
  assert.equal(mien.requests.length, 2);
});

Deno.test("an abort ends a try with its own reason, and nothing is tried again", async () => {
  const reason = new Error("changed my mind");
  const abort = new AbortController();
  const mien = client(() => {
    queueMicrotask(() => abort.abort(reason));
    return new Promise<Response>(() => {});
  });
  await assert.rejects(
    mien.analyze(PHOTO, { signal: abort.signal }),
    (error) => error === reason,
  );
  assert.equal(mien.requests.length, 1);
});

Deno.test("an abort ends the wait between two tries", async () => {
  const mien = client(() => refuse(503, { "retry-after": "50" }));
  const start = performance.now();
  await assert.rejects(
    mien.analyze(PHOTO, { signal: AbortSignal.timeout(30) }),
    (error) => error instanceof DOMException && error.name === "TimeoutError",
  );
  assert.ok(performance.now() - start < 10_000);
  assert.equal(mien.requests.length, 1);
});

Deno.test("a signal aborted before the call sends nothing", async () => {
  const mien = client(() => Response.json(ANSWER));
  const reason = new Error("too late");
  await assert.rejects(
    mien.analyze(PHOTO, { signal: AbortSignal.abort(reason) }),
    (error) => error === reason,
  );
  assert.equal(mien.requests.length, 0);
});

Deno.test("an answer that is not JSON is an invalid_response, however it comes", async () => {
  const page = () => new Response("<html>", { status: 200 });
  await assert.rejects(client(page).analyze(PHOTO), {
    name: "APIError",
    code: "invalid_response",
  });
  const proxy = () => new Response("<html>", { status: 404 });
  await assert.rejects(client(proxy).analyze(PHOTO), {
    code: "invalid_response",
    status: 404,
  });
});

Deno.test("a refusal carries the server's own problem", async () => {
  const handler = createHandler({ pipeline: fakePipeline() });
  const mien = client((request) =>
    handler(
      new Request(new URL("/v1/analyze?maxFaces=0", request.url), request),
    )
  );
  await assert.rejects(mien.analyze(PHOTO), (error: unknown) => {
    assert.ok(error instanceof APIError);
    assert.equal(error.code, "invalid_request");
    assert.equal(error.status, 400);
    assert.equal(
      error.requestId,
      mien.requests[0]!.headers.get("x-request-id"),
    );
    assert.equal(error.message, error.problem!.detail);
    assert.equal(error.problem!.errors![0]!.path, "query.maxFaces");
    return true;
  });
});

Deno.test("Mien.models() and Mien.health() read a real handler", async () => {
  const pipeline = fakePipeline();
  const handler = createHandler({ pipeline });
  const mien = new Mien({
    endpoint: "http://mien.test",
    fetch: (input, init) => handler(new Request(input, init)),
  });
  assert.deepEqual(
    (await mien.models()).map(({ name }) => name),
    pipeline.models.specs.map(({ name }) => name),
  );
  assert.deepEqual(await mien.health().then(({ status }) => status), "ready");
});

Deno.test("Mien.health() says that a server is starting; that is no failure", async () => {
  const ready = new Promise<void>(() => {});
  const handler = createHandler({ pipeline: fakePipeline({ ready }) });
  const mien = client((request) => handler(request));
  // the handler knows no /api
  const plain = new Mien({
    endpoint: "http://mien.test",
    fetch: (input, init) => handler(new Request(input, init)),
  });
  assert.equal((await plain.health()).status, "starting");
  await assert.rejects(mien.health(), { code: "not_found" });
});

Deno.test("new Mien() throws on an endpoint that is no address", () => {
  assert.throws(() => new Mien({ endpoint: "nowhere" }), TypeError);
});
