import assert from "node:assert/strict";
import { Server } from "../server.ts";
import { fixture } from "../testdata/pictures.ts";

const PHOTO = fixture("astronaut.jpg");
const LABELS = /neutral|happiness|surprise|sadness|anger|disgust|fear|contempt/;

async function post(server: Server, query = ""): Promise<Response> {
  const url = server.url(`/v1/analyze${query}`);
  return await fetch(url, { method: "POST", body: PHOTO });
}

Deno.test("deno task start answers a real photo, logs no content, and on SIGTERM answers what it accepted", async () => {
  await using server = await Server.start({ MIEN_QUEUE: "20" });
  await server.printed('"ready":true');

  const ready = await fetch(server.url("/readyz"));
  assert.equal(ready.status, 200);
  assert.equal((await ready.json()).settings.workers, 1);

  const response = await post(server, "?attributes=all&explain=evidence");
  assert.equal(response.status, 200);
  const { faces } = await response.json();
  assert.equal(faces.length, 1);
  assert.match(faces[0].expression.label, LABELS);
  assert.match(faces[0].explanation.image, /^data:image\/png;base64,/);

  const page = await fetch(server.url("/"));
  assert.match(await page.text(), /^<!doctype html>/i);

  let answered = 0, accepted = 0;
  const requests = Array.from({ length: 16 }, async () => {
    const response = await post(server);
    answered++;
    return { status: response.status, body: await response.json() };
  });
  while (answered + accepted < requests.length) {
    const { pool } = await (await fetch(server.url("/readyz"))).json();
    accepted = pool.busy + pool.waiting;
  }
  assert.ok(accepted > 0, "the requests were over before the signal");
  server.kill("SIGTERM");
  for (const { status, body } of await Promise.all(requests)) {
    assert.equal(status, 200, JSON.stringify(body));
    assert.equal(body.faces.length, 1);
  }
  assert.equal((await server.status()).code, 0);

  const entries = server.output.trim().split("\n").map((line) =>
    JSON.parse(line)
  );
  assert.equal(entries.filter((e) => e.route === "/v1/analyze").length, 17);
  assert.doesNotMatch(server.output, LABELS);
  assert.doesNotMatch(server.output, /boundingBox|base64|[A-Za-z0-9+/]{60}/);
});

Deno.test("deno task start on SIGTERM answers 503 to a body still on its way, and ends with 0", async () => {
  await using server = await Server.start();
  await server.printed('"ready":true');
  const { hostname, port } = server.url("/");
  using socket = await Deno.connect({ hostname, port: Number(port) });
  const head = "POST /v1/analyze HTTP/1.1\r\nHost: mien.test\r\n" +
    "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n";
  await socket.write(new TextEncoder().encode(head));
  const buffer = new Uint8Array(4096), decoder = new TextDecoder();
  let text = decoder.decode(
    buffer.subarray(0, await socket.read(buffer) ?? 0),
  );
  assert.match(text, /^HTTP\/1\.1 100 /);
  server.kill("SIGTERM");
  for (let size; (size = await socket.read(buffer)) !== null;) {
    text += decoder.decode(buffer.subarray(0, size));
  }
  assert.match(text, /\r\nHTTP\/1\.1 503 [^]*"code":"overloaded"/);
  assert.equal((await server.status()).code, 0);
});

const REFUSED: [env: Record<string, string>, sentence: RegExp][] = [
  [
    { MIEN_QUEUE: "many" },
    /^Cannot use MIEN_QUEUE="many": it must be a whole number from 0 to 1000\n$/,
  ],
  [{ MIEN_MODEL: "nobody" }, /^Cannot find the model "nobody".*\n$/],
  [
    { MIEN_MODEL: "face_detection_yunet" },
    /^Cannot use face_detection_yunet for expressions.*\n$/,
  ],
];

for (const [env, sentence] of REFUSED) {
  Deno.test(`deno task start refuses ${JSON.stringify(env)} with one sentence and exit code 1`, async () => {
    await using server = await Server.start(env);
    assert.equal((await server.status()).code, 1);
    assert.match(server.output, sentence);
  });
}
