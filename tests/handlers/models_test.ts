import assert from "node:assert/strict";
import { createHandler } from "../../src/handlers/mod.ts";
import { sha256 } from "../../src/pipeline/manifest.ts";
import { fakePipeline } from "./fake.ts";
import { get, problem, request } from "./requests.ts";

const pipeline = fakePipeline();
const handler = createHandler({ pipeline });
const { specs } = pipeline.models;
const SPEC = pipeline.models.get("face_detection_yunet");
const FILE = "/v1/models/face_detection_yunet/files/face_detection_yunet.onnx";
const ETAG = `"${SPEC.sha256}"`;
const WEIGHTS = await Deno.readFile(
  new URL(`../../models/${SPEC.file}`, import.meta.url),
);

async function bytes(response: Response): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await response.arrayBuffer());
}

Deno.test("GET /v1/models lists the manifest", async () => {
  const response = await get(handler, "/v1/models");
  assert.equal(response.status, 200);
  assert.deepEqual(await response.json(), specs);
});

for (const spec of specs) {
  Deno.test(`GET /v1/models/${spec.name} gives its entry and card`, async () => {
    const response = await get(handler, `/v1/models/${spec.name}`);
    const { card, ...entry } = await response.json();
    assert.deepEqual(entry, spec);
    assert.match(card, /^#+ .+\n/);
  });

  Deno.test(`the served weights of ${spec.name} are the manifest's`, async () => {
    const name = spec.file!.split("/").at(-1);
    const response = await get(
      handler,
      `/v1/models/${spec.name}/files/${name}`,
    );
    const body = await bytes(response);
    assert.equal(response.status, 200);
    assert.equal(body.length, spec.bytes);
    assert.equal(await sha256(body), spec.sha256);
    assert.equal(response.headers.get("etag"), `"${spec.sha256}"`);
  });
}

Deno.test("weights may be cached for good and read in part", async () => {
  const response = await handler(request(FILE, { method: "HEAD" }));
  assert.equal(response.status, 200);
  assert.equal(await response.text(), "");
  const headers = Object.fromEntries(response.headers);
  assert.equal(headers["content-length"], String(SPEC.bytes));
  assert.equal(headers["accept-ranges"], "bytes");
  assert.equal(headers["content-type"], "application/octet-stream");
  assert.match(headers["cache-control"]!, /immutable/);
  assert.equal(headers.etag, ETAG);
});

const MATCHES: [value: string, status: number][] = [
  [ETAG, 304],
  [`W/${ETAG}`, 304],
  ["*", 304],
  [`"other", ${ETAG}`, 304],
  ['"other"', 200],
  [SPEC.sha256, 200],
];

for (const [value, status] of MATCHES) {
  Deno.test(`If-None-Match ${value.slice(0, 20)} answers ${status}`, async () => {
    const response = await get(handler, FILE, { "if-none-match": value });
    assert.equal(response.status, status);
    assert.equal(response.headers.get("etag"), ETAG);
    const length = (await bytes(response)).length;
    assert.equal(length, status === 304 ? 0 : SPEC.bytes);
  });
}

const N = SPEC.bytes;
const RANGES: [
  range: string,
  start: number,
  end: number,
  condition?: string,
][] = [
  ["bytes=0-0", 0, 0],
  ["bytes=10-19", 10, 19],
  [`bytes=${N - 1}-`, N - 1, N - 1],
  ["bytes=1000-", 1000, N - 1],
  ["bytes=-5", N - 5, N - 1],
  [`bytes=-${N + 5}`, 0, N - 1],
  [`bytes=10-${N + 99}`, 10, N - 1],
  ["bytes=10-19", 10, 19, ETAG],
];

for (const [range, start, end, condition] of RANGES) {
  Deno.test(`Range ${range}${condition ? " with If-Range" : ""} answers 206`, async () => {
    const headers = { range, ...(condition ? { "if-range": condition } : {}) };
    const response = await get(handler, FILE, headers);
    assert.equal(response.status, 206);
    const body = await bytes(response);
    assert.deepEqual(body, WEIGHTS.slice(start, end + 1));
    const content = response.headers.get("content-range");
    assert.equal(content, `bytes ${start}-${end}/${N}`);
    assert.equal(response.headers.get("content-length"), String(body.length));
  });
}

const WHOLE: [range: string, condition?: string][] = [
  ["bytes=0-1,5-9"],
  ["bytes=9-5"],
  ["bytes=-"],
  ["items=0-5"],
  ["bytes=0-9", '"other"'],
  ["bytes=0-9", "Sat, 21 Nov 2026 00:00:00 GMT"],
];

for (const [range, condition] of WHOLE) {
  Deno.test(`Range ${range}${condition ? ` if ${condition}` : ""} is ignored`, async () => {
    const headers = { range, ...(condition ? { "if-range": condition } : {}) };
    const response = await get(handler, FILE, headers);
    assert.equal(response.status, 200);
    assert.equal((await bytes(response)).length, N);
  });
}

for (const range of [`bytes=${N}-`, `bytes=${N + 1}-${N + 5}`, "bytes=-0"]) {
  Deno.test(`Range ${range} answers 416 with the size`, async () => {
    const response = await get(handler, FILE, { range });
    assert.equal(response.status, 416);
    assert.equal(response.headers.get("content-range"), `bytes */${N}`);
    assert.equal((await bytes(response)).length, 0);
  });
}

const OUTSIDE = [
  "README.md",
  "LICENSE",
  "manifest.json",
  "golden.json",
  "%2e%2e%2fmanifest.json",
  "..%2fmanifest.json",
  "..%5cmanifest.json",
  "%2e%2e%2f%2e%2e%2fdeno.json",
  "face_detection_yunet.onnx%00",
  "face_detection_yunet.onnx%2f..%2f..%2fmanifest.json",
  "%2fetc%2fpasswd",
  "__proto__",
];

for (const file of OUTSIDE) {
  Deno.test(`GET …/files/${file} is not found, and the files there are named`, async () => {
    const path = `/v1/models/face_detection_yunet/files/${file}`;
    const response = await get(handler, path);
    await problem(response, "not_found", /face_detection_yunet\.onnx/);
  });
}

for (
  const name of ["..", "%2e%2e%2f%2e%2e", "__proto__", "constructor", "%00"]
) {
  Deno.test(`GET /v1/models/${name}/files/deno.json finds nothing`, async () => {
    const response = await get(handler, `/v1/models/${name}/files/deno.json`);
    assert.equal(response.status, 404);
    assert.match((await response.json()).code, /^(unknown_model|not_found)$/);
  });
}
