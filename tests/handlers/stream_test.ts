import assert from "node:assert/strict";
import { createHandler, type LogEntry } from "../../src/handlers/mod.ts";
import { PipelineError } from "../../src/pipeline/mod.ts";
import type { Analysis } from "../../src/types.ts";
import { fakePipeline } from "./fake.ts";
import { get, problem } from "./requests.ts";
import { Client, LoopbackServer } from "./socket.ts";

const FRAME = new Uint8Array([1, 2, 3]);
const KEY = "secret ✓";
const HASH = await sha256(KEY);

async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest(
    "SHA-256",
    new TextEncoder().encode(text),
  );
  return new Uint8Array(digest).toHex();
}

/** The subprotocol that carries a key. */
function keyProtocol(key: string): string {
  return `key.${
    new TextEncoder().encode(key).toBase64({
      alphabet: "base64url",
      omitPadding: true,
    })
  }`;
}

/** A pipeline whose answers wait until they are let go, one at a time. */
function gatedPipeline() {
  const gates: (() => void)[] = [], entered: (() => void)[] = [];
  let started = 0;
  const plain = fakePipeline();
  const pipeline = fakePipeline({
    async analyze(...args): Promise<Analysis> {
      started++;
      entered.splice(0).forEach((notify) => notify());
      await new Promise<void>((open) => gates.push(open));
      return await plain.analyze(...args);
    },
  });
  return {
    pipeline,
    calls: plain.calls,
    /** Resolves when so many analyses have begun. */
    async begun(count: number) {
      while (started < count) {
        await new Promise<void>((done) => entered.push(done));
      }
    },
    started: () => started,
    release: () => gates.shift()!(),
  };
}

Deno.test("a stream answers each message once, in order, with the query's options and numbered ids", async () => {
  const pipeline = fakePipeline();
  await using server = new LoopbackServer({ pipeline });
  await using client = await Client.open(
    server,
    "maxFaces=3&attributes=quality",
    ["mien.v1"],
    { "x-request-id": "me" },
  );
  assert.equal(client.socket.protocol, "mien.v1");
  for (const number of [1, 2, 3]) {
    client.send(FRAME);
    assert.equal((await client.analysis()).requestId, `me-${number}`);
  }
  const { bytes, options } = pipeline.calls[2]!;
  assert.deepEqual(bytes, FRAME);
  assert.equal(options.maxFaces, 3);
  assert.deepEqual(options.attributes, ["quality", "landmarks"]);
});

Deno.test("under load the oldest waiting frame is dropped and answered at once, the newest kept", async () => {
  const gate = gatedPipeline();
  await using server = new LoopbackServer({ pipeline: gate.pipeline });
  await using client = await Client.open(server);
  client.send(new Uint8Array([1]));
  await gate.begun(1);
  for (const number of [2, 3, 4]) client.send(new Uint8Array([number]));
  const dropped = [
    await client.problem("overloaded"),
    await client.problem("overloaded"),
  ];
  assert.deepEqual(dropped.map((one) => one.requestId.split("-").at(-1)), [
    "2",
    "3",
  ]);
  assert.equal(dropped[0]!.status, 503);
  gate.release();
  assert.match((await client.analysis()).requestId, /-1$/);
  await gate.begun(2);
  gate.release();
  assert.match((await client.analysis()).requestId, /-4$/);
  assert.deepEqual(gate.calls.map(({ bytes }) => bytes[0]), [1, 4]);
  assert.equal(client.unread, 0);
});

const WRONG: [
  what: string,
  message: Uint8Array<ArrayBuffer> | string,
  code: "invalid_request" | "body_too_large",
][] = [
  ["a text", "hello", "invalid_request"],
  ["nothing", new Uint8Array(0), "invalid_request"],
  ["more than the limit", new Uint8Array(2001), "body_too_large"],
];

Deno.test("a wrong message gets its own problem and the stream goes on", async () => {
  const pipeline = fakePipeline();
  await using server = new LoopbackServer({ pipeline, maxBodyBytes: 2000 });
  await using client = await Client.open(server);
  for (const [what, message, code] of WRONG) {
    client.send(message);
    const { detail } = await client.problem(code);
    assert.ok(detail.length > 20, what);
  }
  assert.equal(pipeline.calls.length, 0);
  client.send(FRAME);
  assert.match((await client.analysis()).requestId, /-4$/);
});

Deno.test("a failed analysis is answered with its problem; an unexpected one gives nothing away and is logged", async () => {
  const errors = [
    new PipelineError("corrupt_image", "The picture is broken: send another"),
    new Error("secret path"),
  ];
  const entries: LogEntry[] = [];
  const pipeline = fakePipeline({
    analyze: () => Promise.reject(errors.shift()),
  });
  await using server = new LoopbackServer({
    pipeline,
    log: (entry) => void entries.push(entry),
  });
  await using client = await Client.open(server);
  client.send(FRAME);
  assert.match((await client.problem("corrupt_image")).detail, /broken/);
  client.send(FRAME);
  const hidden = await client.problem("internal");
  assert.doesNotMatch(JSON.stringify(hidden), /secret/);
  const logged = entries.filter(({ status }) => status === 500);
  assert.equal(logged.length, 1);
  assert.match(logged[0]!.error!, /secret path/);
  assert.equal(logged[0]!.requestId, hidden.requestId);
});

Deno.test("a stream takes its key as a subprotocol or a header, and refuses without", async () => {
  await using server = new LoopbackServer({
    pipeline: fakePipeline(),
    apiKeys: [HASH, await sha256("plain")],
  });
  const accepted: [protocols: string[], headers: HeadersInit][] = [
    [["mien.v1", keyProtocol(KEY)], {}],
    [["mien.v1"], { "x-api-key": "plain" }],
  ];
  for (const [protocols, headers] of accepted) {
    await using client = await Client.open(server, "", protocols, headers);
    assert.equal(client.socket.protocol, "mien.v1");
    client.send(FRAME);
    await client.analysis();
  }
  for (const wrong of [[], [keyProtocol("other")], ["key.$$"]]) {
    await assert.rejects(Client.open(server, "", ["mien.v1", ...wrong]));
  }
});

Deno.test("every frame counts against the caller's limit, like a request", async () => {
  await using server = new LoopbackServer({
    pipeline: fakePipeline(),
    rateLimit: 3,
  });
  await using client = await Client.open(server); // takes one itself
  for (const _ of [1, 2]) {
    client.send(FRAME);
    await client.analysis();
  }
  client.send(FRAME);
  assert.match((await client.problem("rate_limited")).detail, /3 requests/);
});

const ORIGINS: [origin: string | undefined, open: boolean][] = [
  [undefined, true],
  ["own", true],
  ["https://friend.example", true],
  ["https://stranger.example", false],
  ["null", false],
];

Deno.test("a stream is open to our own pages, allowed origins and programs only", async () => {
  await using server = new LoopbackServer({
    pipeline: fakePipeline(),
    corsOrigins: ["https://friend.example"],
  });
  for (const [origin, open] of ORIGINS) {
    const headers: Record<string, string> = origin === undefined
      ? {}
      : { origin: origin === "own" ? server.origin : origin };
    const opened = Client.open(server, "", ["mien.v1"], headers);
    if (open) await (await opened)[Symbol.asyncDispose]();
    else await assert.rejects(opened, Error, origin);
  }
  await using any = new LoopbackServer({
    pipeline: fakePipeline(),
    corsOrigins: ["*"],
  });
  await using _client = await Client.open(any, "", ["mien.v1"], {
    origin: "https://stranger.example",
  });
});

Deno.test("without an upgrade the route tells what is wrong", async () => {
  const handler = createHandler({ pipeline: fakePipeline(), apiKeys: [HASH] });
  const bearer = { authorization: "Bearer x" };
  await problem(await get(handler, "/v1/stream"), "unauthenticated");
  await problem(await get(handler, "/v1/stream", bearer), "forbidden");
  const open = createHandler({ pipeline: fakePipeline() });
  await problem(
    await get(open, "/v1/stream?smile=1"),
    "invalid_request",
    /smile/,
  );
  await problem(
    await get(open, "/v1/stream", { origin: "https://stranger.example" }),
    "forbidden",
    /MIEN_CORS_ORIGINS/,
  );
  await problem(await get(open, "/v1/stream"), "invalid_request", /WebSocket/);
  const other = { upgrade: "websocket", "sec-websocket-protocol": "graphql" };
  await problem(
    await get(open, "/v1/stream", other),
    "invalid_request",
    /mien\.v1/,
  );
});

Deno.test("frames of a client that left are forgotten, and the log gets one entry without content", async () => {
  const gate = gatedPipeline();
  const entries: LogEntry[] = [];
  const logged = Promise.withResolvers<void>();
  await using server = new LoopbackServer({
    pipeline: gate.pipeline,
    log: (entry) => {
      entries.push(entry);
      if (entry.frames !== undefined) logged.resolve();
    },
  });
  {
    await using client = await Client.open(server);
    client.send(FRAME);
    await gate.begun(1);
    client.send(FRAME);
    client.socket.close();
  }
  await logged.promise;
  gate.release();
  await Promise.resolve();
  const last = entries.at(-1)!;
  assert.deepEqual([last.route, last.frames, last.bytesIn], [
    "/v1/stream",
    2,
    6,
  ]);
  assert.equal(gate.started(), 1);
});

Deno.test("a server that stops answers the frames it took, then closes with 1001", async () => {
  const gate = gatedPipeline();
  const stopping = new AbortController();
  await using server = new LoopbackServer({
    pipeline: gate.pipeline,
    signal: stopping.signal,
  });
  await using client = await Client.open(server);
  client.send(FRAME);
  await gate.begun(1);
  stopping.abort();
  gate.release();
  await client.analysis();
  assert.equal((await client.closed).code, 1001);
});
