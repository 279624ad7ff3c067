import assert from "node:assert/strict";
import { createHandler, type LogEntry } from "../../src/handlers/mod.ts";
import { fixture } from "../testdata/pictures.ts";
import { pipeline } from "./real.ts";
import { base64, form, get, post } from "./requests.ts";

const PHOTO = fixture("astronaut.jpg");
const LABELS = pipeline.models.get("expression_mini_xception").outputs[0]!
  .labels!;
const FIELDS = ["bytesIn", "method", "ms", "requestId", "route", "status"];

async function logOf(
  send: (handler: ReturnType<typeof createHandler>) => Promise<Response>,
): Promise<{ entry: LogEntry; answer: string }> {
  const log: LogEntry[] = [];
  const handler = createHandler({ pipeline, log: (entry) => log.push(entry) });
  const answer = await (await send(handler)).text();
  assert.equal(log.length, 1);
  return { entry: log[0]!, answer };
}

Deno.test("a log entry says who, what, how long and how much, and no more", async () => {
  const { entry } = await logOf((handler) =>
    post(handler, "/v1/analyze?attributes=all&explain=evidence", PHOTO, {
      "content-length": String(PHOTO.length),
      "x-request-id": "log-1",
    })
  );
  assert.deepEqual(Object.keys(entry).sort(), FIELDS);
  const { ms, ...rest } = entry;
  assert.ok(ms > 0);
  assert.deepEqual(rest, {
    requestId: "log-1",
    method: "POST",
    route: "/v1/analyze",
    status: 200,
    bytesIn: PHOTO.length,
  });
});

Deno.test("no log entry holds a label, a box, an option or any of the image", async () => {
  const query = "/v1/analyze?attributes=all&explain=evidence";
  const json = JSON.stringify({ image: base64(PHOTO) });
  const typed = { "content-type": "application/json" };
  const text = [
    await logOf((handler) => post(handler, query, PHOTO)),
    await logOf((handler) => post(handler, query, form(PHOTO))),
    await logOf((handler) => post(handler, query, json, typed)),
    await logOf((handler) => post(handler, query, PHOTO.slice(0, 9000))),
    await logOf((handler) => post(handler, query + "&maxFaces=0", PHOTO)),
  ].map(({ entry }) => JSON.stringify({ ...entry, requestId: "" })).join("\n");
  for (const word of [...LABELS, "boundingBox", "score", "evidence", "data:"]) {
    assert.ok(!text.includes(word), word);
  }
  assert.ok(!text.includes(base64(PHOTO).slice(0, 12)), "image");
  assert.doesNotMatch(text, /[A-Za-z0-9+/]{40}/);
});

const ROUTES: [path: string, route: RegExp, status: number][] = [
  ["/v1/models/expression_mini_xception", /^\/v1\/models\/:name$/, 200],
  ["/v1/models/some%20secret", /^\/v1\/models\/:name$/, 404],
  ["/private/path?name=alice", /^\/?\*$/, 404],
];

for (const [path, route, status] of ROUTES) {
  Deno.test(`the log shows the route of ${path}, not the path`, async () => {
    const { entry } = await logOf((handler) => get(handler, path));
    assert.match(entry.route, route);
    assert.equal(entry.status, status);
  });
}

Deno.test("the log's request id is the answer's", async () => {
  const { entry, answer } = await logOf((handler) =>
    post(handler, "/v1/analyze", PHOTO)
  );
  assert.equal(JSON.parse(answer).requestId, entry.requestId);
});
