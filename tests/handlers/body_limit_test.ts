import assert from "node:assert/strict";
import { createHandler } from "../../src/handlers/mod.ts";
import { fixture } from "../testdata/pictures.ts";
import { fakePipeline } from "./fake.ts";
import { chunked, post, problem } from "./requests.ts";

const LIMIT = 4096;

Deno.test("maxBodyBytes lets a body of exactly the limit through", async () => {
  const pipeline = fakePipeline();
  const handler = createHandler({ pipeline, maxBodyBytes: LIMIT });
  const bytes = new Uint8Array(LIMIT).fill(7);
  const response = await post(handler, "/v1/analyze", bytes);
  assert.equal(response.status, 200);
  assert.deepEqual(pipeline.calls[0]!.bytes, bytes);
});

Deno.test("maxBodyBytes holds for a body with a Content-Length", async () => {
  const handler = createHandler({
    pipeline: fakePipeline(),
    maxBodyBytes: LIMIT,
  });
  const bytes = new Uint8Array(LIMIT + 1);
  const headers = { "content-length": String(bytes.length) };
  const response = await post(handler, "/v1/analyze", bytes, headers);
  await problem(response, "body_too_large", /4096 bytes/);
});

Deno.test("maxBodyBytes holds when the Content-Length lies", async () => {
  const handler = createHandler({
    pipeline: fakePipeline(),
    maxBodyBytes: LIMIT,
  });
  const { stream } = chunked(5, 1024);
  const headers = { "content-length": "10" };
  const response = await post(handler, "/v1/analyze", stream, headers);
  await problem(response, "body_too_large", /4096 bytes/);
});

const CHUNKED: [chunks: number, taken: number, outcome: string][] = [
  [4, 4, "taken at the limit"],
  [5, 5, "refused just past the limit, drained"],
  [8, 8, "refused at twice the limit, drained"],
  [9, 9, "refused past twice the limit"],
  [1000, 9, "refused and read no further than twice the limit"],
];

for (const [chunks, taken, outcome] of CHUNKED) {
  Deno.test(`a chunked body of ${chunks} KiB is ${outcome}`, async () => {
    const handler = createHandler({
      pipeline: fakePipeline(),
      maxBodyBytes: LIMIT,
    });
    const body = chunked(chunks, 1024);
    const response = await post(handler, "/v1/analyze", body.stream);
    if (chunks <= 4) assert.equal(response.status, 200);
    else await problem(response, "body_too_large");
    assert.equal(body.taken(), taken);
  });
}

Deno.test("maxBodyBytes holds for JSON and multipart too", async () => {
  const pipeline = fakePipeline();
  const handler = createHandler({ pipeline, maxBodyBytes: LIMIT });
  const json = JSON.stringify({ image: "A".repeat(LIMIT) });
  const form = new FormData();
  form.append("image", new Blob([new Uint8Array(LIMIT)]), "a.jpg");
  for (
    const response of [
      await post(handler, "/v1/analyze", json, {
        "content-type": "application/json",
      }),
      await post(handler, "/v1/analyze", form),
    ]
  ) await problem(response, "body_too_large");
  assert.deepEqual(pipeline.calls, []);
});

Deno.test("deadlineMs ends a body that stalls, and lets go of it", async () => {
  let cancelled = false;
  const stalled = new ReadableStream({
    pull: () => new Promise(() => {}),
    cancel: () => {
      cancelled = true;
    },
  }, { highWaterMark: 0 });
  const handler = createHandler({ pipeline: fakePipeline(), deadlineMs: 20 });
  const response = await post(handler, "/v1/analyze", stalled);
  await problem(response, "deadline_exceeded", /body.*too long/);
  assert.equal(response.headers.get("connection"), "close");
  assert.ok(cancelled);
});

Deno.test("signal answers a body still on its way 503", async () => {
  const ending = new AbortController();
  const unfinished = new ReadableStream({
    start: (controller) => controller.enqueue(fixture("gray.jpg")),
  });
  const pipeline = fakePipeline();
  const handler = createHandler({ pipeline, signal: ending.signal });
  const answer = post(handler, "/v1/analyze", unfinished);
  await new Promise((done) => setTimeout(done, 10));
  ending.abort();
  const response = await answer;
  assert.equal(response.headers.get("retry-after"), "1");
  await problem(response, "overloaded", /shutting down/);
  const late = await post(handler, "/v1/analyze", fixture("gray.jpg"));
  await problem(late, "overloaded", /shutting down/);
  assert.deepEqual(pipeline.calls, []);
});

Deno.test("deadlineMs passes what the body left of it to the pipeline", async () => {
  const pipeline = fakePipeline();
  const handler = createHandler({ pipeline, deadlineMs: 60_000 });
  const slow = new ReadableStream({
    async start(controller) {
      await new Promise((done) => setTimeout(done, 20));
      controller.enqueue(fixture("gray.jpg"));
      controller.close();
    },
  });
  await post(handler, "/v1/analyze", slow);
  const { deadlineMs } = pipeline.calls[0]!;
  assert.ok(deadlineMs! < 59_985 && deadlineMs! >= 1, String(deadlineMs));
});

Deno.test("a body that breaks off is answered invalid_request", async () => {
  const broken = new ReadableStream({
    pull(controller) {
      controller.error(new Error("connection reset"));
    },
  });
  const handler = createHandler({ pipeline: fakePipeline() });
  const response = await post(handler, "/v1/analyze", broken);
  await problem(response, "invalid_request", /body/);
});
