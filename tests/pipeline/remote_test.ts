import assert from "node:assert/strict";
import {
  createRemoteBackend,
  RemoteError,
  type RemoteOptions,
} from "../../src/pipeline/remote.ts";
import { type Fault, type OipServer, startOipServer } from "../oip/server.ts";
import { models, random, withBackend } from "./support.ts";

const MODEL = "expression_mini_xception";
const SIDE = 64;

/** Faces of noise as the model wants them. */
function faces(count: number, seed = 1) {
  const next = random(seed);
  const data = Float32Array.from(
    { length: count * SIDE * SIDE },
    () => next() * 2 - 1,
  );
  return { image: { data, dims: [count, 1, SIDE, SIDE] } };
}

/** Runs a body with a server over the WASM backend and a client of it. */
function withServer(
  body: (
    server: OipServer,
    remote: ReturnType<typeof createRemoteBackend>,
    local: Parameters<Parameters<typeof withBackend>[0]>[0],
  ) => Promise<void>,
  options: Partial<RemoteOptions> = {},
): Promise<void> {
  return withBackend(async (local) => {
    await local.load(MODEL);
    const server = startOipServer(
      models.specs,
      (model, feeds) => local.run(model, feeds),
    );
    const { url } = server;
    const remote = createRemoteBackend(models, {
      url,
      timeoutMs: 4000,
      ...options,
    });
    try {
      await body(server, remote, local);
    } finally {
      await server.close();
    }
  });
}

const reason = (wanted: RemoteError["reason"]) => (error: unknown) => {
  assert.ok(error instanceof RemoteError, String(error));
  assert.equal(error.reason, wanted);
  assert.doesNotMatch(error.message, /\/models\/|request id/);
  return true;
};

for (
  const [form, binary, gzip] of [
    ["raw tensors", true, false],
    ["raw tensors, compressed unasked", true, true],
    ["JSON", false, false],
    ["JSON, compressed unasked", false, true],
  ] as const
) {
  Deno.test(`createRemoteBackend() gives what the model gives, by ${form}`, () =>
    withServer(async (server, remote, local) => {
      Object.assign(server, { binary, gzip });
      const feeds = faces(3), outputs = ["logits", "evidence"];
      const found = await remote.run(MODEL, feeds, { outputs });
      assert.deepEqual(found, await local.run(MODEL, feeds, { outputs }));
    }));
}

Deno.test("createRemoteBackend() gives every output when none is named", () =>
  withServer(async (_, remote) => {
    const found = await remote.run(MODEL, faces(1));
    const { outputs } = models.get(MODEL);
    assert.deepEqual(
      Object.keys(found).sort(),
      outputs.map(({ name }) => name).sort(),
    );
  }));

Deno.test("createRemoteBackend() sends one request for all faces, its token and no wish for compression", () =>
  withServer(async (server, remote) => {
    await remote.run(MODEL, faces(5), { outputs: ["logits"] });
    await remote.run(MODEL, faces(5), { outputs: ["logits"] });
    const paths = server.requests.map(({ path }) => path);
    const infer = `/v2/models/${MODEL}/infer`;
    assert.deepEqual(paths, ["/v2", infer, infer]);
    for (const { headers } of server.requests) {
      assert.equal(headers.get("authorization"), "Bearer secret");
      assert.equal(headers.get("accept-encoding"), "identity");
    }
    const { bytes } = server.requests[1]!;
    assert.ok(bytes < 5 * SIDE * SIDE * 4 + 400, `${bytes} bytes`);
  }, { token: "secret" }));

Deno.test("createRemoteBackend() sends no traceparent where nobody traces", () =>
  withServer(async (server, remote) => {
    await remote.run(MODEL, faces(1));
    assert.ok(server.requests.length > 0);
    for (const { headers } of server.requests) {
      assert.equal(headers.has("traceparent"), false);
    }
  }));

Deno.test("createRemoteBackend() does not serialise concurrent calls", () =>
  withServer(async (server, remote) => {
    server.fault = "slow";
    const calls = [1, 2, 3, 4].map((seed) => remote.run(MODEL, faces(1, seed)));
    await Promise.all(calls);
    assert.equal(server.together.most, 4);
  }));

const FAULTS: [Fault, RemoteError["reason"]][] = [
  ["loading", "error"],
  ["busy", "overloaded"],
  ["broken", "error"],
  ["cut", "invalid_response"],
  ["redirect", "error"],
  ["notJson", "invalid_response"],
  ["nan", "invalid_response"],
  ["headerTooLong", "invalid_response"],
  ["headerNoNumber", "invalid_response"],
  ["short", "invalid_response"],
  ["long", "invalid_response"],
  ["shape", "invalid_response"],
  ["datatype", "invalid_response"],
  ["noOutput", "invalid_response"],
  ["otherModel", "invalid_response"],
  ["huge", "invalid_response"],
];

for (const [fault, wanted] of FAULTS) {
  Deno.test(`createRemoteBackend() calls ${fault} ${wanted}, and is well afterwards`, () =>
    withServer(async (server, remote) => {
      server.fault = fault;
      await assert.rejects(remote.run(MODEL, faces(2)), reason(wanted));
      server.fault = undefined;
      const { logits } = await remote.run(MODEL, faces(2));
      assert.deepEqual(logits!.dims, [2, 8]);
    }));
}

for (
  const fault of [
    "jsonNan",
    "jsonNull",
    "shape",
    "datatype",
    "noOutput",
  ] as const
) {
  Deno.test(`createRemoteBackend() does not believe JSON with ${fault}`, () =>
    withServer(async (server, remote) => {
      Object.assign(server, { binary: false, fault });
      await assert.rejects(
        remote.run(MODEL, faces(2), { outputs: ["logits"] }),
        reason("invalid_response"),
      );
    }));
}

for (const fault of ["hang", "slow"] as const) {
  Deno.test(`createRemoteBackend() waits for a server that is to ${fault} as long as it may`, () =>
    withServer(async (server, remote) => {
      await remote.run(MODEL, faces(1));
      server.fault = fault;
      await assert.rejects(
        remote.run(MODEL, faces(1), { timeoutMs: 50 }),
        reason("timeout"),
      );
      await assert.rejects(remote.run(MODEL, faces(1)), reason("timeout"));
    }, { timeoutMs: 150 }));
}

Deno.test("createRemoteBackend() calls a server that is not there refused", async () => {
  const server = startOipServer(models.specs, () => Promise.reject());
  await server.close();
  const remote = createRemoteBackend(models, { url: server.url });
  await assert.rejects(remote.run(MODEL, faces(1)), reason("refused"));
  assert.equal(await remote.ready(MODEL), false);
});

Deno.test("createRemoteBackend() calls a connection closed without a word refused", async () => {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const closing = (async () => {
    for await (const connection of listener) {
      await connection.read(new Uint8Array(1000));
      connection.close();
    }
  })();
  const { port } = listener.addr as Deno.NetAddr;
  const remote = createRemoteBackend(models, {
    url: `http://127.0.0.1:${port}`,
  });
  await assert.rejects(remote.run(MODEL, faces(1)), reason("refused"));
  listener.close();
  await closing;
});

Deno.test("createRemoteBackend() gives up with the caller's own reason", () =>
  withServer(async (server, remote) => {
    await remote.run(MODEL, faces(1));
    server.fault = "hang";
    const controller = new AbortController();
    const { signal } = controller;
    const running = remote.run(MODEL, faces(1), { signal });
    setTimeout(() => controller.abort(new Error("gone")), 50);
    await assert.rejects(running, /gone/);
    await assert.rejects(remote.run(MODEL, faces(1), { signal }), /gone/);
    await new Promise((done) => setTimeout(done, 50));
    assert.equal(server.requests.at(-1)!.left, true);
  }));

Deno.test("createRemoteBackend() is not disturbed by another caller that gives up early", () =>
  withServer(async (_, remote) => {
    const controller = new AbortController();
    const first = remote.run(MODEL, faces(1), { signal: controller.signal });
    const second = remote.run(MODEL, faces(1));
    controller.abort(new Error("gone"));
    await assert.rejects(first, /gone/);
    assert.deepEqual((await second).logits!.dims, [1, 8]);
  }));

Deno.test("createRemoteBackend().ready() asks for the model's own readiness", () =>
  withServer(async (server, remote) => {
    assert.equal(await remote.ready(MODEL), true);
    assert.equal(await remote.ready("nobody"), false);
    server.fault = "loading";
    assert.equal(await remote.ready(MODEL), false);
    server.fault = undefined;
    await remote.load(MODEL);
    await assert.rejects(remote.load("nobody"), reason("error"));
  }));

Deno.test("createRemoteBackend() learns anew what the server takes after a failure", () =>
  withServer(async (server, remote) => {
    await remote.run(MODEL, faces(1));
    server.binary = false;
    await assert.rejects(remote.run(MODEL, faces(1)), reason("error"));
    assert.deepEqual((await remote.run(MODEL, faces(1))).logits!.dims, [1, 8]);
  }));

Deno.test("createRemoteBackend() keeps what it learnt when a caller gives up", () =>
  withServer(async (server, remote) => {
    await remote.run(MODEL, faces(1));
    server.fault = "hang";
    await assert.rejects(
      remote.run(MODEL, faces(1), { timeoutMs: 20 }),
      reason("timeout"),
    );
    await assert.rejects(
      remote.run(MODEL, faces(1), { signal: AbortSignal.timeout(20) }),
    );
    server.fault = undefined;
    await remote.run(MODEL, faces(1));
    const asked = server.requests.filter(({ path }) => path === "/v2");
    assert.equal(asked.length, 1);
  }));
