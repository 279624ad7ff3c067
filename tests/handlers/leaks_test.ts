import assert from "node:assert/strict";
import { startOipServer } from "../oip/server.ts";
import { models, withBackend } from "../pipeline/support.ts";
import { createHandler, type LogEntry } from "../../src/handlers/mod.ts";
import { PROBLEMS } from "../../src/handlers/problem.ts";
import { createPipeline } from "../../src/pipeline/mod.ts";
import type { Analysis } from "../../src/types.ts";
import { fixture } from "../testdata/pictures.ts";
import { Server } from "../server.ts";
import { MemoryTracer } from "../tracer.ts";
import { leakFinder, type Secrets } from "./leaks.ts";
import { base64, request } from "./requests.ts";
import { Client, LoopbackServer } from "./socket.ts";

const tracer = new MemoryTracer();
const PHOTO = fixture("astronaut.jpg"), NO_FACE = fixture("coffee.jpg");
const KEY = crypto.randomUUID(), HASH = await sha256(KEY);
const TOKEN = crypto.randomUUID();
/** A client writes it wherever it can. */
const WORD = "Wq7zqX";
const PATIENT = { deadlineMs: 120_000 };
const ALL = "attributes=all&explain=evidence&coverage=0.9";

async function sha256(text: string): Promise<string> {
  const bytes = new TextEncoder().encode(text);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

/** A key as a stream's subprotocol carries it. */
function protocolOf(key: string): string {
  const bytes = new TextEncoder().encode(key);
  return `key.${bytes.toBase64({ alphabet: "base64url", omitPadding: true })}`;
}

function form(parts: Record<string, Blob | string>): FormData {
  const data = new FormData();
  for (const [name, part] of Object.entries(parts)) {
    if (part instanceof Blob) data.append(name, part, `${WORD}.jpg`);
    else data.append(name, part);
  }
  return data;
}

type Sent = [path: string, body: BodyInit | null, headers?: HeadersInit];
const JSON_TYPE = { "content-type": "application/json" };

/** One request of every kind, good and bad, each with the word in it where there is room. */
const SENT: Sent[] = [
  [`/v1/analyze?${ALL}`, PHOTO],
  [
    "/v1/analyze",
    form({
      image: new Blob([PHOTO]),
      neutral: new Blob([PHOTO]),
      options: '{"attributes": "all"}',
    }),
  ],
  ["/v1/analyze", JSON.stringify({ image: base64(PHOTO) }), JSON_TYPE],
  ["/v1/analyze?route=gpu", PHOTO],
  ["/v1/analyze?route=edge&attributes=all", PHOTO],
  [
    "/v1/analyze?attributes=actionUnits",
    form({
      image: new Blob([PHOTO]),
      neutral: new Blob([NO_FACE]),
    }),
  ],
  ["/v1/analyze", NO_FACE],
  ["/v1/analyze", PHOTO.slice(0, 9000)],
  ["/v1/analyze", `${WORD} is no picture`, { "content-type": WORD }],
  ["/v1/analyze", ""],
  ["/v1/analyze", new Uint8Array(600_000)],
  ["/v1/analyze", `{"image": "${WORD}"`, JSON_TYPE],
  ["/v1/analyze", `{"image": "%${WORD}%"}`, JSON_TYPE],
  ["/v1/analyze", form({ [WORD]: new Blob([PHOTO]) })],
  ["/v1/analyze", form({ image: new Blob([PHOTO]), options: `{"${WORD}":1}` })],
  [`/v1/analyze?${WORD}=${WORD}&maxFaces=${WORD}`, PHOTO],
  [`/v1/analyze?model=${WORD}`, PHOTO],
  [`/${WORD}?${WORD}=${KEY}`, null],
  [`/v1/models/${WORD}`, null],
  [`/v1/models/expression_mien/files/${WORD}`, null],
  ["/v1/models?key=" + KEY, null, { "x-api-key": "" }],
  ["/v1/models", null, { "x-api-key": WORD }],
  ["/v1/stream", null, { "sec-websocket-protocol": `${WORD}, mien.v1` }],
  ["/v2/models/expression_mien/infer", `{"inputs": "${WORD}"}`],
  [`/v2/models/${WORD}/infer`, WORD],
  ["/metrics", null],
  ["/readyz", null],
];

function requestOf([path, body, headers = {}]: Sent): Request {
  const all = { "x-api-key": KEY, "user-agent": WORD, referer: WORD };
  const method = body === null ? "GET" : "POST";
  return request(path, { method, body, headers: { ...all, ...headers } });
}

/** Runs a body with everything that it prints. */
async function printed(body: () => Promise<void>): Promise<string> {
  const lines: unknown[] = [], names = ["log", "warn", "error"] as const;
  const real = names.map((name) => console[name]);
  for (const name of names) console[name] = (...all) => lines.push(...all);
  try {
    await body();
  } finally {
    names.forEach((name, index) => console[name] = real[index]!);
  }
  return lines.map(String).join("\n");
}

const secrets: Secrets & { answers: Analysis[] } = {
  images: [PHOTO, NO_FACE],
  answers: [],
  words: [KEY, protocolOf(KEY), HASH, TOKEN, WORD],
};
const log: LogEntry[] = [];
let everything = "";

Deno.test("requests of every kind leave nothing of images, findings, keys or queries in log, traces, metrics and console", () =>
  withBackend(async (backend) => {
    const gpu = startOipServer(
      models.specs,
      (model, feeds) => backend.run(model, feeds),
    );
    const pipeline = await createPipeline({
      ...PATIENT,
      workers: 0,
      gpu: {
        url: gpu.url,
        token: TOKEN,
        timeoutMs: 60_000,
        escalateBelow: 1,
      },
    });
    const options = {
      ...PATIENT,
      pipeline,
      apiKeys: [HASH],
      maxBodyBytes: 500_000,
      log: (entry: LogEntry) => void log.push(entry),
    };
    const handler = createHandler(options);
    const statuses = new Set<number>();
    async function send(sent: Sent): Promise<void> {
      const response = await handler(requestOf(sent));
      statuses.add(response.status);
      const answer = await response.text();
      if (answer.startsWith('{"requestId')) {
        secrets.answers.push(JSON.parse(answer));
      }
    }
    const console = await printed(async () => {
      await pipeline.ready;
      for (const sent of SENT) await send(sent);
      await handler(new Request("http://mien.test/", { method: WORD }));
      statuses.add((await handler(request("/v1/models"))).status);
      const limited = createHandler({ ...options, rateLimit: 1 });
      for (let i = 0; i < 2; i++) {
        await (await limited(requestOf(["/v1/models", null]))).body?.cancel();
      }
      for (const fault of ["broken", "cut", "nan", "busy"] as const) {
        gpu.fault = fault;
        await send([`/v1/analyze?${ALL}`, PHOTO]);
      }
      gpu.fault = undefined;
      await send(["/v1/analyze?route=gpu&attributes=all", PHOTO]);

      await using server = new LoopbackServer(options);
      const protocols = ["mien.v1", protocolOf(KEY)];
      await using client = await Client.open(server, ALL, protocols);
      client.send(PHOTO.slice());
      secrets.answers.push(await client.analysis());
      client.send(PHOTO.slice(0, 9000));
      await client.problem("corrupt_image");
      client.send(`${WORD} is no frame`);
      await client.problem("invalid_request");

      const broken = new Error("a fault of ours");
      const faulty = createHandler({
        ...options,
        pipeline: { ...pipeline, analyze: () => Promise.reject(broken) },
      });
      const failure = await faulty(requestOf([`/v1/analyze?${ALL}`, PHOTO]));
      assert.equal(failure.status, 500);
      await failure.body?.cancel();
    });
    while (!log.some(({ frames }) => frames)) {
      await new Promise((done) => setTimeout(done, 10));
    }
    const page = await (await handler(requestOf(["/metrics", null]))).text();
    await pipeline.close();
    await gpu.close();

    for (const status of [200, 400, 401, 403, 404, 413, 415, 422]) {
      assert.ok(statuses.has(status), `no answer was ${status}`);
    }
    const found = secrets.answers.flatMap(({ faces }) => faces);
    assert.ok(found.some(({ provenance }) => provenance.backend === "gpu"));
    assert.ok(found.some(({ provenance }) => provenance.fallback));
    assert.ok(tracer.named("remote").length > 4);
    everything = [log, tracer.spans].map((all) => JSON.stringify(all, null, 1))
      .concat(console, page).join("\n");
    assert.deepEqual(leakFinder(secrets)(everything), []);
  }));

Deno.test("log entries hold what they are said to hold, of the form it is said to have", () => {
  const texts: Record<string, RegExp> = {
    requestId: /^[\w-]{36,}$/,
    method: /^(GET|POST|HEAD|other)$/,
    route: /^(\*|\/[\w/:.]*)$/,
    error: /^Error: a fault of ours\n/,
  };
  const numbers = ["status", "ms", "bytesIn", "frames"];
  assert.ok(log.length > SENT.length);
  for (const entry of log) {
    for (const [name, value] of Object.entries(entry)) {
      if (name in texts) assert.match(value, texts[name]!, name);
      else assert.ok(numbers.includes(name), name);
      if (numbers.includes(name)) assert.equal(typeof value, "number");
    }
  }
});

Deno.test("spans hold sizes, a route, a status and an error's code, nothing else", () => {
  const sizes = [
    "mien.image.bytes",
    "mien.image.width",
    "mien.image.height",
    "mien.faces",
    "http.request.body.size",
    "http.response.body.size",
    "http.response.status_code",
  ];
  const reasons = ["refused", "timeout", "error", "invalid_response"];
  const types = [...Object.keys(PROBLEMS), ...reasons, "overloaded", "Error"];
  for (const { name, attributes, events, status } of tracer.spans) {
    assert.match(name, /^([a-z]+|(GET|POST|other) (\*|\/[\w/:.]*))$/);
    assert.deepEqual(events, []);
    assert.equal(status.message, undefined);
    for (const [key, value] of Object.entries(attributes)) {
      if (key === "http.route") {
        assert.match(String(value), /^(\*|\/[\w/:.]*)$/);
      } else if (key === "error.type") assert.ok(types.includes(String(value)));
      else {
        assert.ok(sizes.includes(key), key);
        assert.ok(Number.isInteger(value), `${key} ${value}`);
      }
    }
  }
});

Deno.test("the search finds each kind of leak", () => {
  const [answer] = secrets.answers, face = answer!.faces[0]!;
  const planted = [
    base64(PHOTO.subarray(1001, 1031)),
    base64(PHOTO.subarray((PHOTO.length >> 1) + 100)).slice(0, 20),
    PHOTO.subarray(40, 60).toHex(),
    String.fromCharCode(...PHOTO.subarray(500, 530)),
    Array.from(PHOTO.subarray(80, 100)).join(","),
    JSON.stringify(NO_FACE.subarray(0, 12)),
    String(face.boundingBox.x),
    String(face.expression!.scores[3]!.score),
    "the face shows sadness",
    `"label":"woman"`,
    "AU12",
    `bob said ${KEY}`,
    HASH,
    protocolOf(KEY),
    `POST http://host/v1/analyze?model=x`,
    "/v1/analyze?attributes=all",
    `upload ${WORD.toLowerCase()}.jpg`,
  ];
  const leaks = leakFinder(secrets), at = everything.length >> 1;
  for (const text of planted) {
    const spoiled = `${everything.slice(0, at)} ${text} ${
      everything.slice(at)
    }`;
    assert.notDeepEqual(leaks(spoiled), [], text);
  }
});

/** The attributes in which Deno's own spans of requests hold URLs: see docs/monitoring.md. */
const DENOS_URLS = /^ *url\.(full|path|query): .*$/gm;

Deno.test("nor does a server under Deno's own tracing print any of it", async () => {
  await using server = await Server.start({
    OTEL_DENO: "true",
    OTEL_EXPORTER_OTLP_PROTOCOL: "console",
    OTEL_BSP_SCHEDULE_DELAY: "50",
    OTEL_BLRP_SCHEDULE_DELAY: "50",
    NO_COLOR: "1",
    MIEN_API_KEYS: HASH,
    MIEN_MAX_BODY_BYTES: "500000",
    MIEN_DEADLINE_MS: "120000",
  });
  await server.printed('"ready":true');
  for (const [path, body, headers = {}] of SENT) {
    const response = await fetch(server.url(path), {
      method: body === null ? "GET" : "POST",
      body,
      headers: { "x-api-key": KEY, "user-agent": WORD, ...headers },
    });
    await response.body?.cancel();
  }
  for (const text of ["SPAN decode", "SPAN POST /v1/analyze", "LOG ["]) {
    await server.printed(text);
  }
  await server.printed("SPAN GET /readyz"); // the last
  const output = server.output.replaceAll(DENOS_URLS, "");
  assert.ok(output.length < server.output.length);
  assert.deepEqual(leakFinder(secrets)(output), []);
});
