import { context, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import assert from "node:assert/strict";
import { createHandler, type Handler } from "../../src/handlers/mod.ts";
import { createPipeline, type Pipeline } from "../../src/pipeline/mod.ts";
import { type OipServer, startOipServer } from "../oip/server.ts";
import { models, withBackend } from "../pipeline/support.ts";
import { Server } from "../server.ts";
import { fixture } from "../testdata/pictures.ts";
import { MemoryTracer, type RecordedSpan } from "../tracer.ts";
import { fakePipeline } from "./fake.ts";
import { get, post } from "./requests.ts";

const PHOTO = fixture("astronaut.jpg");
/** No answer is late, however busy the machine. */
const PATIENT = { deadlineMs: 120_000 };
const CALLER = { traceId: "1".repeat(32), spanId: "2".repeat(16) };
const TRACEPARENT = `00-${CALLER.traceId}-${CALLER.spanId}-01`;
const tracer = new MemoryTracer();
const STAGES = ["decode", "detect", "align", "classify"];

function within(inner: RecordedSpan, outer: RecordedSpan, slackMs = 2): void {
  assert.ok(inner.start >= outer.start - slackMs, `${inner.name} starts early`);
  assert.ok(inner.end <= outer.end + slackMs, `${inner.name} ends late`);
  assert.ok(inner.end >= inner.start, `${inner.name} takes no time`);
}

for (const workers of [0, 1]) {
  Deno.test(`a request's span holds the analysis, and that its stages, with ${workers} Workers`, async () => {
    tracer.clear();
    const pipeline = await createPipeline({ ...PATIENT, workers });
    try {
      await pipeline.ready;
      const handler = createHandler({ ...PATIENT, pipeline });
      const headers = { traceparent: TRACEPARENT };
      const response = await post(handler, "/v1/analyze", PHOTO, headers);
      const answer = await response.json();
      assert.deepEqual(
        Object.keys(answer).sort(),
        ["faces", "image", "requestId", "timing"],
      );

      const request = tracer.one("POST /v1/analyze");
      const analysis = tracer.one("analyze");
      assert.equal(request.kind, SpanKind.SERVER);
      assert.equal(request.traceId, CALLER.traceId);
      assert.equal(request.parentId, CALLER.spanId);
      assert.deepEqual(request.attributes, {
        "http.route": "/v1/analyze",
        "http.response.status_code": 200,
      });
      assert.equal(analysis.parentId, request.spanId);
      assert.deepEqual(analysis.attributes, {
        "mien.image.bytes": PHOTO.length,
        "mien.image.width": answer.image.width,
        "mien.image.height": answer.image.height,
        "mien.faces": 1,
      });
      within(analysis, request);
      for (const stage of STAGES) {
        const spans = tracer.named(stage);
        assert.ok(spans.length > 0, stage);
        for (const span of spans) {
          assert.equal(span.parentId, analysis.spanId);
          assert.equal(span.traceId, CALLER.traceId);
          assert.deepEqual(span.attributes, {});
          within(span, analysis, 20);
        }
      }
      const decoding = tracer.named("decode")
        .reduce((sum, { start, end }) => sum + end - start, 0);
      assert.ok(Math.abs(decoding - answer.timing.decodeMs) < 0.01);
      assert.equal(tracer.named("queue").length, workers);
      const known = [...STAGES, "queue", "analyze", "POST /v1/analyze"];
      const others = tracer.spans.filter(({ name }) => !known.includes(name));
      assert.deepEqual(others, []);
    } finally {
      await pipeline.close();
    }
  });
}

Deno.test("a trace that is not sampled has no spans of stages, nor the answer anything of them", async () => {
  tracer.clear();
  tracer.sampled = false;
  const pipeline = await createPipeline({ ...PATIENT, workers: 0 });
  try {
    await pipeline.ready;
    const answer = await pipeline.analyze(PHOTO.slice());
    assert.equal(tracer.begun, 1);
    assert.ok(!("intervals" in answer));
  } finally {
    await pipeline.close();
  }
});

async function refused(
  handler: Handler,
  query: string,
  body: BodyInit,
): Promise<void> {
  await (await post(handler, `/v1/analyze?${query}`, body)).body?.cancel();
}

Deno.test("of a failure the span has the code and nothing of the message", async () => {
  tracer.clear();
  const pipeline = await createPipeline({ ...PATIENT, workers: 0 });
  try {
    await pipeline.ready;
    const handler = createHandler({ ...PATIENT, pipeline });
    await refused(handler, "", PHOTO.slice(0, 9000));
    await refused(handler, "model=nobody", PHOTO);
    const failed = tracer.named("analyze");
    assert.deepEqual(
      failed.map(({ attributes }) => attributes["error.type"]),
      ["corrupt_image", "unknown_model"],
    );
    for (const { status, events } of failed) {
      assert.deepEqual(status, { code: SpanStatusCode.ERROR });
      assert.deepEqual(events, []);
    }
    assert.doesNotMatch(JSON.stringify(tracer.spans), /nobody/);
  } finally {
    await pipeline.close();
  }
});

Deno.test("a span that the runtime has made for the request is named, and no other is added", async () => {
  tracer.clear();
  const handler = createHandler({ pipeline: fakePipeline() });
  const outer = trace.getTracer("runtime").startSpan("GET");
  await context.with(trace.setSpan(context.active(), outer), async () => {
    const response = await get(handler, "/v1/models/some%20name");
    assert.equal(response.status, 404);
  });
  outer.end();
  const [span, ...others] = tracer.spans;
  assert.equal(span!.name, "GET /v1/models/:name");
  assert.equal(span!.attributes["http.route"], "/v1/models/:name");
  assert.deepEqual(others, []);
});

Deno.test("methods and paths that a client makes up are in no span", async () => {
  tracer.clear();
  const handler = createHandler({ pipeline: fakePipeline() });
  const url = "http://mien.test/secret?secret=1";
  await handler(new Request(url, { method: "SECRET" }));
  assert.equal(tracer.one("other *").attributes["http.route"], "*");
  assert.doesNotMatch(JSON.stringify(tracer.spans), /secret/i);
});

/** Runs a body with a pipeline that asks a GPU server for every face. */
function withGpu(
  body: (pipeline: Pipeline, server: OipServer) => Promise<void>,
): Promise<void> {
  return withBackend(async (backend) => {
    const server = startOipServer(
      models.specs,
      (model, feeds) => backend.run(model, feeds),
    );
    const pipeline = await createPipeline({
      ...PATIENT,
      workers: 0,
      gpu: { url: server.url, timeoutMs: 60_000, escalateBelow: 1 },
    });
    try {
      await pipeline.ready;
      await body(pipeline, server);
    } finally {
      await pipeline.close();
      await server.close();
    }
  });
}

Deno.test("the GPU server gets the traceparent of the call to it", () =>
  withGpu(async (pipeline, server) => {
    tracer.clear();
    const handler = createHandler({ ...PATIENT, pipeline });
    const headers = { traceparent: TRACEPARENT };
    await (await post(handler, "/v1/analyze", PHOTO, headers)).body?.cancel();
    const call = tracer.one("remote"), analysis = tracer.one("analyze");
    assert.equal(call.kind, SpanKind.CLIENT);
    assert.equal(call.parentId, analysis.spanId);
    within(call, analysis);
    const asked = server.requests.find(({ path }) => path.endsWith("/infer"))!;
    assert.equal(
      asked.headers.get("traceparent"),
      `00-${CALLER.traceId}-${call.spanId}-01`,
    );
    assert.deepEqual(Object.keys(call.attributes).sort(), [
      "http.request.body.size",
      "http.response.body.size",
      "mien.faces",
    ]);
    assert.equal(call.attributes["http.request.body.size"], asked.bytes);

    server.fault = "broken";
    await (await post(handler, "/v1/analyze", PHOTO)).body?.cancel();
    const { attributes, status } = tracer.named("remote")[1]!;
    assert.deepEqual(attributes, { "error.type": "error" });
    assert.equal(status.code, SpanStatusCode.ERROR);
  }));

Deno.test("under Deno's own tracing the stages and the call lie in the request's trace, and one traceparent is sent", () =>
  withBackend(async (backend) => {
    const gpu = startOipServer(
      models.specs,
      (model, feeds) => backend.run(model, feeds),
    );
    try {
      await using server = await Server.start({
        OTEL_DENO: "true",
        OTEL_EXPORTER_OTLP_PROTOCOL: "console",
        OTEL_DENO_CONSOLE: "ignore",
        OTEL_BSP_SCHEDULE_DELAY: "50",
        NO_COLOR: "1",
        MIEN_GPU_URL: gpu.url,
        MIEN_GPU_TIMEOUT_MS: "60000",
        MIEN_DEADLINE_MS: "120000",
        MIEN_ESCALATE_BELOW: "1",
      });
      await server.printed('"ready":true');
      const response = await fetch(server.url("/v1/analyze"), {
        method: "POST",
        body: PHOTO,
        headers: { traceparent: TRACEPARENT },
      });
      const { faces } = await response.json();
      assert.equal(faces[0].provenance.backend, "gpu");
      const shown = (name: string) => `SPAN ${name} [${CALLER.traceId}/`;
      const names = [...STAGES, "queue", "analyze", "remote"];
      for (const name of [...names, "POST /v1/analyze"]) {
        await server.printed(shown(name));
      }
      assert.match(server.output, /http\.route: \/v1\/analyze/);
      const asked = gpu.requests.find(({ path }) => path.endsWith("/infer"))!;
      const sent = asked.headers.get("traceparent")!;
      assert.match(sent, /^00-1{32}-[0-9a-f]{16}-01$/);
      assert.notEqual(sent.slice(36, 52), CALLER.spanId);
    } finally {
      await gpu.close();
    }
  }));
