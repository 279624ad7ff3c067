import assert from "node:assert/strict";
import { createHandler } from "../../src/handlers/mod.ts";
import type { AnalyzeOptions } from "../../src/types.ts";
import { fixture } from "../testdata/pictures.ts";
import { fakePipeline } from "./fake.ts";
import { base64, form, post, problem } from "./requests.ts";

const PHOTO = fixture("gray.jpg");

const TAKEN: [query: string, options: AnalyzeOptions][] = [
  ["attributes=expression", { attributes: ["expression"] }],
  ["attributes=landmarks", { attributes: ["landmarks"] }],
  ["attributes=quality,expression", { attributes: ["quality", "expression"] }],
  ["attributes=expression,%20quality", {
    attributes: ["expression", "quality"],
  }],
  ["attributes=all", { attributes: "all" }],
  ["model=auto", { model: "auto" }],
  ["model=expression_mini_xception", { model: "expression_mini_xception" }],
  ["route=auto", { route: "auto" }],
  ["route=edge", { route: "edge" }],
  ["explain=none", { explain: "none" }],
  ["explain=evidence", { explain: "evidence" }],
  ["maxFaces=1", { maxFaces: 1 }],
  ["maxFaces=100", { maxFaces: 100 }],
  ["minDetectionConfidence=0", { minDetectionConfidence: 0 }],
  ["minDetectionConfidence=1", { minDetectionConfidence: 1 }],
  ["minConfidence=0", { minConfidence: 0 }],
  ["minConfidence=0.5", { minConfidence: 0.5 }],
  ["minConfidence=1", { minConfidence: 1 }],
  ["input=photo", { input: "photo" }],
  ["input=crop", { input: "crop" }],
  ["format=mien", {}],
];

for (const [query, options] of TAKEN) {
  Deno.test(`POST /v1/analyze passes ${query} on, from the query and from options`, async () => {
    const pipeline = fakePipeline();
    const handler = createHandler({ pipeline });
    const [name, value] = [...new URLSearchParams(query)][0]!;
    const body = { image: base64(PHOTO), options: { [name]: value } };
    for (
      const response of [
        await post(handler, `/v1/analyze?${query}`, PHOTO),
        await post(handler, "/v1/analyze", JSON.stringify(body), {
          "content-type": "application/json",
        }),
      ]
    ) assert.equal(response.status, 200, await response.text());
    assert.deepEqual(pipeline.calls.map((call) => call.options), [
      options,
      options,
    ]);
  });
}

const REFUSED: [query: string, path: string][] = [
  ["attributes=", "query.attributes"],
  ["attributes=smile", "query.attributes"],
  ["attributes=expression,,quality", "query.attributes"],
  ["attributes=all,quality", "query.attributes"],
  ["attributes=Expression", "query.attributes"],
  ["model=", "query.model"],
  [`model=${"a".repeat(101)}`, "query.model"],
  ["route=cpu", "query.route"],
  ["explain=heatmap", "query.explain"],
  ["maxFaces=0", "query.maxFaces"],
  ["maxFaces=101", "query.maxFaces"],
  ["maxFaces=-1", "query.maxFaces"],
  ["maxFaces=1.5", "query.maxFaces"],
  ["maxFaces=", "query.maxFaces"],
  ["maxFaces=many", "query.maxFaces"],
  ["maxFaces=NaN", "query.maxFaces"],
  ["minDetectionConfidence=-0.01", "query.minDetectionConfidence"],
  ["minDetectionConfidence=1.01", "query.minDetectionConfidence"],
  ["minDetectionConfidence=Infinity", "query.minDetectionConfidence"],
  ["minConfidence=-0.01", "query.minConfidence"],
  ["minConfidence=1.01", "query.minConfidence"],
  ["minConfidence=%20", "query.minConfidence"],
  ["coverage=0.49", "query.coverage"],
  ["coverage=1", "query.coverage"],
  ["input=tile", "query.input"],
  ["format=azure", "query.format"],
  ["maxfaces=1", "query.maxfaces"],
  ["url=https://example.org/a.jpg", "query.url"],
  ["__proto__=1", "query.__proto__"],
  ["constructor=1", "query.constructor"],
  ["maxFaces=1&maxFaces=1", "query.maxFaces"],
];

for (const [query, path] of REFUSED) {
  Deno.test(`POST /v1/analyze refuses ${query.slice(0, 60)}`, async () => {
    const pipeline = fakePipeline();
    const handler = createHandler({ pipeline });
    const response = await post(handler, `/v1/analyze?${query}`, PHOTO);
    const name = path.split(".")[1]!;
    const { errors } = await problem(
      response,
      "invalid_request",
      new RegExp(name),
    );
    assert.equal(errors?.[0]?.path, path);
    assert.notEqual(errors?.[0]?.message, "");
    assert.deepEqual(pipeline.calls, []);
  });
}

const UNSUPPORTED: [query: string, detail: RegExp][] = [
  ["attributes=actionUnits&explain=difference", /difference.*send neutral/],
  ["explain=gradCam", /gradCam is not available.*expression_patt_lite/],
  ["explain=attention", /attention is not available.*expression_patt_lite/],
  ["explain=difference", /difference.*add actionUnits/],
  ["format=aws", /format=aws.*mien/],
  ["format=deepface", /format=deepface.*mien/],
  ["format=human", /format=human.*mien/],
  ["format=hume", /format=hume.*mien/],
];

for (const [query, detail] of UNSUPPORTED) {
  Deno.test(`POST /v1/analyze answers unsupported_option to ${query}`, async () => {
    const handler = createHandler({ pipeline: fakePipeline() });
    const response = await post(handler, `/v1/analyze?${query}`, PHOTO);
    await problem(response, "unsupported_option", detail);
  });
}

Deno.test("POST /v1/analyze answers gpu_unavailable to route=gpu where there is none", async () => {
  const handler = createHandler({ pipeline: fakePipeline() });
  const response = await post(handler, "/v1/analyze?route=gpu", PHOTO);
  await problem(response, "gpu_unavailable", /route=gpu.*use auto or edge/);
});

Deno.test("POST /v1/analyze reports every bad option at once", async () => {
  const handler = createHandler({ pipeline: fakePipeline() });
  const path = "/v1/analyze?maxFaces=0&minConfidence=2&smile=1&grin=2";
  const { errors } = await problem(
    await post(handler, path, PHOTO),
    "invalid_request",
  );
  assert.deepEqual(errors?.map((error) => error.path).sort(), [
    "query.grin",
    "query.maxFaces",
    "query.minConfidence",
    "query.smile",
  ]);
});

Deno.test("POST /v1/analyze lets the query win over options, one by one", async () => {
  const pipeline = fakePipeline();
  const handler = createHandler({ pipeline });
  const options = { maxFaces: 3, minConfidence: 0.25, attributes: "all" };
  const path = "/v1/analyze?maxFaces=5&attributes=quality";
  const body = form(PHOTO, { options: JSON.stringify(options) });
  assert.equal((await post(handler, path, body)).status, 200);
  assert.deepEqual(pipeline.calls[0]!.options, {
    maxFaces: 5,
    minConfidence: 0.25,
    attributes: ["quality"],
  });
});
