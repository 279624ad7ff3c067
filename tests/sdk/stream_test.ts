import assert from "node:assert/strict";
import type { HandlerOptions } from "../../src/handlers/mod.ts";
import { PipelineError } from "../../src/pipeline/mod.ts";
import { APIError, ConnectionError, Mien } from "../../src/sdk/client.ts";
import type { Analysis } from "../../src/types.ts";
import { fakePipeline } from "../handlers/fake.ts";
import { LoopbackServer } from "../handlers/socket.ts";

const FRAME = new Uint8Array([1, 2, 3]);

/** A client of a loopback server. */
function clientOf(server: LoopbackServer, apiKey?: string): Mien {
  return new Mien({
    endpoint: server.origin,
    ...(apiKey === undefined ? {} : { apiKey }),
  });
}

function serve(options: Partial<HandlerOptions> = {}): LoopbackServer {
  return new LoopbackServer({ pipeline: fakePipeline(), ...options });
}

/** The numbers at the ends of the answers' request ids. */
async function numbers(answers: AsyncIterable<Analysis>): Promise<string[]> {
  const found = [];
  for await (const { requestId } of answers) {
    found.push(requestId.split("-").at(-1)!);
  }
  return found;
}

Deno.test("stream() yields one answer for each picture of a sequence, in order, and ends with it", async () => {
  const pipeline = fakePipeline();
  await using server = serve({ pipeline });
  const pictures = Array.from(
    { length: 9 },
    (_, index) => new Uint8Array([index]),
  );
  const answers = clientOf(server).stream(pictures, { maxFaces: 3 });
  assert.deepEqual(await numbers(answers), [..."123456789"]);
  assert.deepEqual(pipeline.calls.map(({ bytes }) => bytes[0]), [
    ...pictures.keys(),
  ]);
  assert.equal(pipeline.calls[0]!.options.maxFaces, 3);
});

Deno.test("stream() hands over an answer before the next picture is there", async () => {
  await using server = serve();
  const gate = Promise.withResolvers<void>();
  async function* slow() {
    yield FRAME;
    await gate.promise;
    yield FRAME;
  }
  const answers = clientOf(server).stream(slow());
  assert.equal((await answers.next()).done, false);
  gate.resolve();
  assert.equal((await answers.next()).done, false);
  assert.equal((await answers.next()).done, true);
});

Deno.test("stream() takes no more pictures than are answered and asked for", async () => {
  await using server = serve();
  let taken = 0;
  function* endless() {
    while (true) {
      taken++;
      yield FRAME;
    }
  }
  let seen = 0;
  for await (const _ of clientOf(server).stream(endless())) {
    if (++seen === 5) break;
  }
  assert.ok(taken <= seen + 2, `${taken} taken, ${seen} seen`);
});

Deno.test("stream() sends nothing more once it was ended, though a picture was on its way", async () => {
  await using server = serve();
  const late: number[] = [];
  class Watched extends WebSocket {
    override send(data: Parameters<WebSocket["send"]>[0]): void {
      if (this.readyState !== this.OPEN) late.push(this.readyState);
      super.send(data);
    }
  }
  const gate = Promise.withResolvers<void>();
  async function* slow() {
    yield FRAME;
    await gate.promise;
    yield FRAME;
  }
  const answers = clientOf(server).stream(slow(), { WebSocket: Watched });
  await answers.next();
  await answers.return();
  gate.resolve();
  await new Promise((done) => setTimeout(done, 50));
  assert.deepEqual(late, []);
});

Deno.test("stream() sends its key, whatever letters it has, and says why it is refused without", async () => {
  const key = "ключ/+ 1";
  const digest = await crypto.subtle.digest(
    "SHA-256",
    new TextEncoder().encode(key),
  );
  const hash = new Uint8Array(digest).toHex();
  await using server = serve({ apiKeys: [hash] });
  assert.deepEqual(await numbers(clientOf(server, key).stream([FRAME])), ["1"]);
  await assert.rejects(
    numbers(clientOf(server).stream([FRAME])),
    (error) => error instanceof APIError && error.code === "unauthenticated",
  );
});

Deno.test("stream() reports options that the server does not take", async () => {
  await using server = serve();
  await assert.rejects(
    numbers(clientOf(server).stream([FRAME], { maxFaces: 1000 })),
    (error) =>
      error instanceof APIError && error.problem?.errors?.[0]?.path ===
        "query.maxFaces",
  );
});

Deno.test("stream() passes over a frame that was dropped, and ends with one that cannot be read", async () => {
  const errors = [new PipelineError("overloaded", "Busy: retry"), undefined];
  const plain = fakePipeline();
  const pipeline = fakePipeline({
    analyze: (...args) => {
      const error = errors.length
        ? errors.shift()
        : new PipelineError("corrupt_image", "Broken: send another");
      return error ? Promise.reject(error) : plain.analyze(...args);
    },
  });
  await using server = serve({ pipeline });
  const answers = clientOf(server).stream([FRAME, FRAME, FRAME], {
    inFlight: 1,
  });
  assert.match((await answers.next()).value!.requestId, /-2$/);
  await assert.rejects(
    answers.next(),
    (error) => error instanceof APIError && error.code === "corrupt_image",
  );
});

Deno.test("stream() ends by its signal with the signal's reason, even while a source is silent", async () => {
  await using server = serve();
  const controller = new AbortController();
  async function* silent() {
    yield FRAME;
    await new Promise(() => {});
  }
  const answers = clientOf(server).stream(silent(), {
    signal: controller.signal,
  });
  await answers.next();
  const next = answers.next();
  controller.abort(new Error("enough"));
  await assert.rejects(next, /enough/);
});

Deno.test("stream() connects again after a lost connection, and gives up where nobody listens", async () => {
  const sockets: WebSocket[] = [];
  class Recorded extends WebSocket {
    constructor(...args: ConstructorParameters<typeof WebSocket>) {
      super(...args);
      sockets.push(this);
    }
  }
  await using server = serve();
  function* pictures() {
    for (let index = 0; index < 4; index++) {
      if (index === 2) sockets[0]!.close();
      yield FRAME;
    }
  }
  const found = await numbers(
    clientOf(server).stream(pictures(), { inFlight: 1, WebSocket: Recorded }),
  );
  assert.deepEqual(found, ["1", "2", "1"]);
  assert.equal(sockets.length, 2);

  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  const nobody = new Mien({ endpoint: `http://127.0.0.1:${port}` });
  await assert.rejects(
    numbers(nobody.stream([FRAME], { maxRetries: 0 })),
    ConnectionError,
  );
});

Deno.test("stream() waits for a video's first drawable frame and ends with the video", async () => {
  await using server = serve();
  const video = {
    videoWidth: 64,
    videoHeight: 48,
    readyState: 1,
    paused: false,
    ended: false,
    data: new Uint8Array(64 * 48 * 3),
  };
  let drawn = 0;
  const watched = new Proxy(video, {
    get(target, name) {
      if (name === "data") {
        assert.ok(target.readyState >= 2, "drawn before there is a frame");
        drawn++;
      }
      return Reflect.get(target, name);
    },
  });
  setTimeout(() => video.readyState = 4, 120);
  const start = performance.now();
  let count = 0;
  for await (
    const _ of clientOf(server).stream(
      Object.assign(watched, { width: 64, height: 48, channels: 3 }),
    )
  ) {
    if (++count === 3) video.ended = true;
  }
  assert.ok(performance.now() - start >= 100);
  assert.ok(drawn >= 3);
});
