import assert from "node:assert/strict";
import {
  createHandler,
  type Handler,
  type HandlerOptions,
} from "../../src/handlers/mod.ts";
import { PROBLEMS } from "../../src/handlers/problem.ts";
import {
  createPipeline,
  type Pipeline,
  PipelineError,
} from "../../src/pipeline/mod.ts";
import { VERSION } from "../../src/version.ts";
import { models, withBackend } from "../pipeline/support.ts";
import { startOipServer } from "../oip/server.ts";
import { fixture } from "../testdata/pictures.ts";
import { type Exposition, readExposition } from "./exposition.ts";
import { fakePipeline } from "./fake.ts";
import { get, post, problem, request } from "./requests.ts";
import { Client, LoopbackServer } from "./socket.ts";

const PHOTO = fixture("astronaut.jpg");
/** No answer is late, however busy the machine. */
const PATIENT = { deadlineMs: 120_000 };
const ALICE =
  "2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90";

async function scrape(
  handler: Handler,
  headers: HeadersInit = {},
): Promise<Exposition> {
  const response = await get(handler, "/metrics", headers);
  assert.equal(response.status, 200);
  assert.equal(
    response.headers.get("content-type"),
    "text/plain; version=0.0.4; charset=utf-8",
  );
  assert.equal(response.headers.get("cache-control"), "no-store");
  return readExposition(await response.text());
}

function fake(options: Omit<HandlerOptions, "pipeline"> = {}): Handler {
  return createHandler({ pipeline: fakePipeline(), ...options });
}

async function ignore(response: Promise<Response>): Promise<number> {
  const { status, body } = await response;
  await body?.cancel();
  return status;
}

Deno.test("the first scrape is well formed, and every error code stands at 0", async () => {
  const page = await scrape(fake());
  for (const code of Object.keys(PROBLEMS)) {
    assert.equal(page.get("mien_problems_total", { code }), 0);
  }
  assert.equal(page.get("mien_ready"), 1);
  assert.equal(page.get("mien_http_requests_in_flight"), 1);
  assert.ok(page.get("process_resident_memory_bytes") > 2e7);
  const started = page.get("process_start_time_seconds");
  assert.ok(started > 1.7e9 && started <= Date.now() / 1000);
  const runtime = `deno ${Deno.version.deno}`, version = VERSION;
  assert.equal(page.get("mien_build_info", { runtime, version }), 1);
});

Deno.test("requests are counted by method, route and status, with their times", async () => {
  const handler = fake();
  const sent: [path: string, method: string, status: number][] = [
    ["/v1/models", "GET", 200],
    ["/v1/models", "GET", 200],
    ["/v1/models", "HEAD", 200],
    ["/v1/models/expression_mien", "GET", 200],
    ["/v1/models/nobody", "GET", 404],
    ["/v1/models", "POST", 405],
    ["/nowhere", "GET", 404],
  ];
  for (const [path, method, status] of sent) {
    assert.equal(await ignore(handler(request(path, { method }))), status);
  }
  const page = await scrape(handler);
  const counts: [method: string, route: string, status: string, n: number][] = [
    ["GET", "/v1/models", "200", 2],
    ["HEAD", "/v1/models", "200", 1],
    ["GET", "/v1/models/:name", "200", 1],
    ["GET", "/v1/models/:name", "404", 1],
    ["POST", "*", "405", 1],
    ["GET", "*", "404", 1],
  ];
  for (const [method, route, status, n] of counts) {
    const labels = { method, route, status };
    assert.equal(page.get("mien_http_requests_total", labels), n);
  }
  assert.equal(page.labels("mien_http_requests_total").length, counts.length);
  const seconds = "mien_http_request_duration_seconds";
  assert.equal(page.get(`${seconds}_count`, { route: "/v1/models" }), 3);
  assert.ok(page.get(`${seconds}_sum`, { route: "/v1/models" }) > 0);
  const codes = { unknown_model: 1, not_found: 1, method_not_allowed: 1 };
  for (const [code, n] of Object.entries(codes)) {
    assert.equal(page.get("mien_problems_total", { code }), n);
  }
});

Deno.test("whatever a client makes up, no series is added for it", async () => {
  const handler = fake({ apiKeys: [ALICE] });
  const key = { "x-api-key": "alice" };
  async function nonsense(word: string): Promise<void> {
    for (
      const [path, method] of [
        [`/${word}`, "GET"],
        [`/v1/models/${word}`, "GET"],
        [`/v1/models/${word}/files/${word}`, "GET"],
        [`/v2/models/${word}/versions/${word}`, "GET"],
        [`/v1/models?${word}=${word}`, word],
        [`/v1/analyze?model=${word}&${word}=1`, "POST"],
        [`/v1/analyze?model=${word}`, "POST"],
      ] as const
    ) {
      const body = method === "POST" ? word : null;
      for (const headers of [key, { "x-api-key": word }] as HeadersInit[]) {
        await ignore(handler(request(path, { method, body, headers })));
      }
    }
  }
  for (let i = 0; i < 3; i++) await nonsense("alpha"); // until its keys are too many
  await scrape(handler, key);
  const before = await scrape(handler, key);
  for (const word of ["beta", "gamma", "delta"]) await nonsense(word);
  const after = await scrape(handler, key);
  assert.deepEqual([...after.series.keys()], [...before.series.keys()]);
  assert.doesNotMatch(JSON.stringify([...after.series.keys()]), /alpha|beta/i);
});

Deno.test("/metrics needs a key where keys are set, and never counts against the limit", async () => {
  const handler = fake({ apiKeys: [ALICE], rateLimit: 1 });
  await problem(await get(handler, "/metrics"), "unauthenticated");
  const wrong = { "x-api-key": "carol" }, key = { "x-api-key": "alice" };
  await problem(await get(handler, "/metrics", wrong), "forbidden");
  for (let i = 0; i < 3; i++) await scrape(handler, key);
  assert.equal(await ignore(get(handler, "/v1/models", key)), 200);
  assert.equal(await ignore(get(handler, "/v1/models", key)), 429);
  const page = await scrape(handler, key);
  assert.equal(page.get("mien_problems_total", { code: "rate_limited" }), 1);
  const refused = { method: "GET", route: "/metrics", status: "401" };
  assert.equal(page.get("mien_http_requests_total", refused), 1);
});

Deno.test("a real photo moves the counters of faces and stages, a broken one its error code", async () => {
  const pipeline = await createPipeline({ ...PATIENT, workers: 1, queue: 0 });
  try {
    const handler = createHandler({ ...PATIENT, pipeline });
    assert.equal((await scrape(handler)).get("mien_ready"), 0);
    await pipeline.ready;
    const before = await scrape(handler);
    assert.equal(before.get("mien_workers_ready"), 1);
    assert.equal(before.get("mien_analyses_total"), 0);
    const statuses = await Promise.all([
      ignore(post(handler, "/v1/analyze", PHOTO)),
      ignore(post(handler, "/v1/analyze", PHOTO)),
    ]);
    assert.deepEqual(statuses.sort(), [200, 503]);
    await ignore(post(handler, "/v1/analyze", PHOTO.slice(0, 9000)));
    const after = await scrape(handler);
    assert.equal(after.get("mien_analyses_total"), 1);
    assert.equal(after.get("mien_faces_total", { backend: "wasm" }), 1);
    for (const stage of ["decode", "detect", "align", "classify"]) {
      const name = "mien_stage_duration_seconds";
      assert.equal(after.get(`${name}_count`, { stage }), 1);
      assert.ok(after.get(`${name}_sum`, { stage }) > 0);
    }
    for (const code of ["overloaded", "corrupt_image"]) {
      assert.equal(after.get("mien_problems_total", { code }), 1);
    }
    assert.equal(after.get("mien_queue_rejected_total"), 1);
    assert.equal(after.get("mien_queue_capacity"), 0);
    assert.equal(after.get("mien_workers_replaced_total"), 0);
    assert.equal(after.get("mien_workers"), 1);
  } finally {
    await pipeline.close();
  }
});

Deno.test("a Worker ended at its deadline is counted as replaced, and waiting images as the queue", async () => {
  const pipeline = await createPipeline({ ...PATIENT, workers: 1, queue: 5 });
  try {
    await pipeline.ready;
    const handler = createHandler({ ...PATIENT, pipeline });
    const work = [1, 2, 3].map(() =>
      ignore(post(handler, "/v1/analyze", PHOTO))
    );
    while (pipeline.state!.waiting < 2) await new Promise((r) => setTimeout(r));
    const busy = await scrape(handler);
    assert.equal(busy.get("mien_queue_length"), 2);
    assert.equal(busy.get("mien_queue_capacity"), 5);
    assert.equal(busy.get("mien_workers_busy"), 1);
    assert.equal(busy.get("mien_http_requests_in_flight"), 4);
    assert.deepEqual(await Promise.all(work), [200, 200, 200]);
    const hasty = createHandler({ pipeline, deadlineMs: 1 });
    assert.equal(await ignore(post(hasty, "/v1/analyze", PHOTO)), 504);
    const page = await scrape(hasty);
    const late = { code: "deadline_exceeded" };
    assert.equal(page.get("mien_problems_total", late), 1);
    assert.equal(page.get("mien_workers_replaced_total"), 1);
    assert.equal(page.get("mien_http_requests_in_flight"), 1);
  } finally {
    await pipeline.close();
  }
});

Deno.test("frames count as analyses or problems, and open streams are a gauge", async () => {
  let calls = 0;
  const plain = fakePipeline();
  const pipeline = fakePipeline({
    analyze: (...args) =>
      ++calls === 2
        ? Promise.reject(new PipelineError("corrupt_image", "broken"))
        : plain.analyze(...args),
  });
  await using server = new LoopbackServer({ pipeline });
  const read = async () => {
    const response = await fetch(`${server.origin}/metrics`);
    return readExposition(await response.text());
  };
  await using client = await Client.open(server);
  assert.equal((await read()).get("mien_streams_open"), 1);
  client.send(new Uint8Array([1]));
  await client.analysis();
  client.send(new Uint8Array([1]));
  await client.problem("corrupt_image");
  client.send("text");
  await client.problem("invalid_request");
  const page = await read();
  assert.equal(page.get("mien_analyses_total"), 1);
  for (const code of ["corrupt_image", "invalid_request"]) {
    assert.equal(page.get("mien_problems_total", { code }), 1);
  }
  client.socket.close();
  await client.closed;
  while ((await read()).get("mien_streams_open") !== 0);
});

Deno.test("the GPU route shows outcomes, fallbacks and its circuit breaker", () =>
  withBackend(async (backend) => {
    const server = startOipServer(
      models.specs,
      (model, feeds) => backend.run(model, feeds),
    );
    const model = "expression_mien";
    const pipeline: Pipeline = await createPipeline({
      ...PATIENT,
      workers: 0,
      gpu: { url: server.url, timeoutMs: 60_000, escalateBelow: 1 },
    });
    try {
      await pipeline.ready;
      const handler = createHandler({ ...PATIENT, pipeline });
      assert.equal(await ignore(post(handler, "/v1/analyze", PHOTO)), 200);
      server.fault = "broken";
      for (let i = 0; i < 6; i++) {
        assert.equal(await ignore(post(handler, "/v1/analyze", PHOTO)), 200);
      }
      const page = await scrape(handler);
      assert.equal(page.get("mien_faces_total", { backend: "gpu" }), 1);
      assert.equal(page.get("mien_faces_total", { backend: "wasm" }), 6);
      assert.equal(page.get("mien_gpu_faces_total"), 1);
      const outcomes = { answered: 1, error: 5, timeout: 0 };
      for (const [outcome, n] of Object.entries(outcomes)) {
        assert.equal(page.get("mien_gpu_requests_total", { outcome }), n);
      }
      for (const [reason, n] of [["error", 5], ["circuit_open", 1]] as const) {
        assert.equal(page.get("mien_gpu_fallback_faces_total", { reason }), n);
      }
      const states = { open: 1, closed: 0, half_open: 0 };
      for (const [state, value] of Object.entries(states)) {
        const labels = { model, state };
        assert.equal(page.get("mien_gpu_circuit_state", labels), value);
      }
      assert.equal(page.get("mien_gpu_circuit_opened_total", { model }), 1);
      const stage = { stage: "remote" };
      assert.equal(page.get("mien_stage_duration_seconds_count", stage), 7 - 1);
    } finally {
      await pipeline.close();
      await server.close();
    }
  }));
