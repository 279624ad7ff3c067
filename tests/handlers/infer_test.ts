import assert from "node:assert/strict";
import { createHandler } from "../../src/handlers/mod.ts";
import {
  describeTensors,
  joinBody,
  JSON_LENGTH,
  readTensors,
  splitBody,
} from "../../src/pipeline/oip.ts";
import { createRemoteBackend } from "../../src/pipeline/remote.ts";
import { createPipeline } from "../../src/pipeline/mod.ts";
import type { Tensor } from "../../src/pipeline/postprocess.ts";
import { fixture } from "../testdata/pictures.ts";
import { fakePipeline } from "./fake.ts";
import { handler, pipeline } from "./real.ts";

const MODEL = "expression_mini_xception";
const SPEC = pipeline.models.get(MODEL);
const OUTPUTS = SPEC.outputs.map(({ name }) => name);

function images(batch: number): Record<string, Tensor> {
  const data = Float32Array.from(
    { length: batch * 64 * 64 },
    (_, i) => Math.sin(i * 0.05) * 0.5,
  );
  return { image: { data, dims: [batch, 1, 64, 64] } };
}

async function send(
  path: string,
  init: RequestInit = {},
  to = handler,
): Promise<Response> {
  return await to(new Request(`http://mien.test/v2${path}`, init));
}

function post(body: BodyInit, headers: Record<string, string> = {}) {
  return send(`/models/${MODEL}/infer`, { method: "POST", body, headers });
}

/** A request of raw tensors, which wants raw tensors back. */
function rawRequest(feeds: Record<string, Tensor>, outputs = OUTPUTS) {
  return joinBody({
    id: "seven",
    inputs: describeTensors(feeds, true),
    outputs: outputs.map((name) => ({
      name,
      parameters: { binary_data: true },
    })),
  }, Object.values(feeds));
}

/** The tensors of an answer, JSON or raw. */
async function tensors(response: Response) {
  const bytes = new Uint8Array(await response.arrayBuffer());
  assert.equal(response.status, 200, new TextDecoder().decode(bytes));
  const { message, raw } = splitBody(bytes, response.headers.get(JSON_LENGTH));
  return { message, outputs: readTensors(message.outputs, raw) };
}

const expected = await pipeline.run(MODEL, images(2));

Deno.test("GET /v2 and the models' metadata are the protocol's", async () => {
  assert.deepEqual((await (await send("")).json()).extensions, [
    "binary_tensor_data",
  ]);
  for (
    const path of ["/health/live", "/health/ready", `/models/${MODEL}/ready`]
  ) {
    const response = await send(path);
    assert.deepEqual([response.status, await response.text()], [200, ""], path);
  }
  for (const path of [`/models/${MODEL}`, `/models/${MODEL}/versions/1`]) {
    const { name, versions, inputs, outputs } = await (await send(path)).json();
    assert.deepEqual([name, versions], [MODEL, ["1"]]);
    assert.deepEqual(inputs, [
      { name: "image", datatype: "FP32", shape: [-1, 1, 64, 64] },
    ]);
    assert.deepEqual(
      outputs.map(({ name }: { name: string }) => name),
      OUTPUTS,
    );
  }
});

for (const encoding of ["identity", "gzip", "deflate"] as const) {
  Deno.test(`raw tensors in and out, ${encoding}: what the model says, and the caller's id`, async () => {
    const { body, jsonLength } = rawRequest(images(2));
    const stream = encoding === "identity"
      ? body
      : new Blob([body]).stream().pipeThrough(new CompressionStream(encoding));
    const packed = await new Response(stream).arrayBuffer();
    const response = await post(packed, {
      [JSON_LENGTH]: String(jsonLength),
      "content-encoding": encoding,
    });
    assert.equal(
      response.headers.get("content-type"),
      "application/octet-stream",
    );
    const { message, outputs } = await tensors(response);
    assert.deepEqual([message.id, message.model_name, message.model_version], [
      "seven",
      MODEL,
      "1",
    ]);
    assert.deepEqual(outputs, expected);
  });
}

Deno.test("JSON in and out, flat or nested, all outputs when none is named", async () => {
  const { image } = images(2);
  const flat = Array.from(image!.data);
  const rows = [flat.slice(0, 4096), flat.slice(4096)];
  for (const data of [flat, rows]) {
    const inputs = [{
      name: "image",
      datatype: "FP32",
      shape: [2, 1, 64, 64],
      data,
    }];
    const response = await post(JSON.stringify({ inputs }));
    assert.match(response.headers.get("content-type")!, /^application\/json/);
    const { message, outputs } = await tensors(response);
    assert.equal(message.id, undefined);
    for (const name of OUTPUTS) {
      assert.deepEqual(outputs[name]!.dims, expected[name]!.dims);
      outputs[name]!.data.forEach((value, i) =>
        assert.ok(Math.abs(value - expected[name]!.data[i]!) < 1e-6)
      );
    }
  }
});

const good = rawRequest(images(1));
const inputs = describeTensors(images(1), false) as Record<string, unknown>[];
const one = inputs[0]!;
const REFUSED: [string, BodyInit, Record<string, string>, number, RegExp][] = [
  ["no JSON", "{", {}, 400, /failed to parse/],
  ["no inputs", "{}", {}, 400, /list of tensors/],
  [
    "a length past the end",
    good.body,
    { [JSON_LENGTH]: "99999999" },
    400,
    /header size should be in range/,
  ],
  [
    "a length that is none",
    good.body,
    { [JSON_LENGTH]: "12x" },
    400,
    /header size/,
  ],
  [
    "bytes that are missing",
    good.body.slice(0, -4),
    { [JSON_LENGTH]: `${good.jsonLength}` },
    400,
    /expecting 4 additional bytes/,
  ],
  [
    "another input",
    JSON.stringify({ inputs: [{ ...one, name: "picture" }] }),
    {},
    400,
    /unexpected inference input 'picture'/,
  ],
  [
    "another shape",
    JSON.stringify({ inputs: [{ ...one, shape: [1, 1, 32, 128] }] }),
    {},
    400,
    /Expected \[-1,1,64,64\], got \[1,1,32,128\]/,
  ],
  [
    "another type",
    JSON.stringify({ inputs: [{ ...one, datatype: "INT8" }] }),
    {},
    400,
    /expected 'FP32'/,
  ],
  [
    "another output",
    JSON.stringify({ inputs, outputs: [{ name: "mood" }] }),
    {},
    400,
    /unexpected inference output 'mood'/,
  ],
  [
    "another encoding",
    good.body,
    { "content-encoding": "br" },
    400,
    /gzip, deflate/,
  ],
  [
    "broken gzip",
    good.body,
    { "content-encoding": "gzip" },
    400,
    /not valid gzip/,
  ],
];

for (const [what, body, headers, status, detail] of REFUSED) {
  Deno.test(`${what} is refused in the protocol's words`, async () => {
    const response = await post(body, headers);
    assert.equal(response.status, status);
    assert.equal(response.headers.get("content-type"), "application/json");
    const answer = await response.json();
    assert.deepEqual(Object.keys(answer), ["error"]);
    assert.match(answer.error, detail);
  });
}

Deno.test("a hundred and one rows, and a bomb, are refused before a model runs", async () => {
  const { body, jsonLength } = rawRequest(images(101));
  const many = await post(body, { [JSON_LENGTH]: String(jsonLength) });
  assert.equal(many.status, 400);
  assert.match((await many.json()).error, /at most 100/);
  const zeros = new Blob([new Uint8Array(64 * 1024 * 1024)]).stream();
  const bomb = await new Response(
    zeros.pipeThrough(new CompressionStream("gzip")),
  ).arrayBuffer();
  const response = await post(bomb, { "content-encoding": "gzip" });
  assert.equal(response.status, 413);
  assert.match((await response.json()).error, /unpacked/);
});

Deno.test("unknown models, versions, paths and methods say error, too; keys are asked for", async () => {
  for (
    const path of [
      "/models/nobody",
      "/models/nobody/ready",
      `/models/${MODEL}/versions/7`,
      "/nowhere",
    ]
  ) {
    const response = await send(path);
    assert.equal(response.status, 404, path);
    assert.equal(typeof (await response.json()).error, "string");
  }
  const wrong = await send(`/models/${MODEL}/infer`);
  assert.equal(wrong.status, 405);
  assert.equal(wrong.headers.get("allow"), "POST");
  const locked = createHandler({
    pipeline: fakePipeline(),
    apiKeys: ["0".repeat(64)],
  });
  assert.equal((await send("", {}, locked)).status, 401);
});

Deno.test("one Mien is the GPU server of another", async () => {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    handler,
  );
  const url = `http://127.0.0.1:${server.addr.port}`;
  try {
    const remote = createRemoteBackend(pipeline.models, {
      url,
      timeoutMs: 10_000,
    });
    assert.equal(await remote.ready(MODEL), true);
    assert.equal(await remote.ready("nobody"), false);
    assert.deepEqual(await remote.run(MODEL, images(2)), expected);
    await remote.close();
    const edge = await createPipeline({
      workers: 0,
      gpu: { url, timeoutMs: 10_000 },
    });
    await edge.ready;
    const ask = (route: "gpu" | "edge") =>
      edge.analyze(fixture("astronaut.jpg"), { route });
    const [there, here] = [await ask("gpu"), await ask("edge")];
    assert.equal(there.faces[0]!.provenance.backend, "gpu");
    assert.deepEqual(there.faces[0]!.expression, here.faces[0]!.expression);
    await edge.close();
  } finally {
    await server.shutdown();
  }
});
