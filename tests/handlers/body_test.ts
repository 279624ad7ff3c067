import assert from "node:assert/strict";
import { createHandler } from "../../src/handlers/mod.ts";
import { fixture } from "../testdata/pictures.ts";
import { fakePipeline } from "./fake.ts";
import { base64, form, post, problem } from "./requests.ts";

const PHOTO = fixture("gray.jpg");
const NEUTRAL = fixture("rgba.png");
const OPTIONS = { maxFaces: 3, attributes: ["quality"] };
const TEXT = JSON.stringify(OPTIONS);
const JSON_TYPE = { "content-type": "application/json" };
const MULTIPART = { "content-type": "multipart/form-data; boundary=x" };

function json(value: unknown): string {
  return JSON.stringify(value);
}

const TAKEN: [
  what: string,
  body: BodyInit,
  headers: HeadersInit,
  options: object,
][] = [
  ["raw image/jpeg", PHOTO, { "content-type": "image/jpeg" }, {}],
  ["raw image/png over JPEG bytes", PHOTO, { "content-type": "image/png" }, {}],
  ["raw text/plain", PHOTO, { "content-type": "text/plain" }, {}],
  ["raw without a type", PHOTO, {}, {}],
  ["multipart with an image", form(PHOTO), {}, {}],
  ["multipart with options", form(PHOTO, { options: TEXT }), {}, OPTIONS],
  [
    "multipart with options as a file",
    form(PHOTO, { options: new Blob([TEXT], { type: "application/json" }) }),
    {},
    OPTIONS,
  ],
  ["JSON", json({ image: base64(PHOTO) }), JSON_TYPE, {}],
  [
    "JSON with options",
    json({ image: base64(PHOTO), options: OPTIONS }),
    JSON_TYPE,
    OPTIONS,
  ],
  [
    "JSON with a data: URL",
    json({ image: `data:image/jpeg;base64,${base64(PHOTO)}` }),
    JSON_TYPE,
    {},
  ],
  [
    "JSON with a charset",
    json({ image: base64(PHOTO) }),
    { "content-type": "application/json; charset=utf-8" },
    {},
  ],
  [
    "JSON in another case",
    json({ image: base64(PHOTO) }),
    { "content-type": "Application/JSON" },
    {},
  ],
  [
    "JSON with line breaks in the base64",
    json({ image: base64(PHOTO).replace(/.{76}/g, "$&\r\n") }),
    JSON_TYPE,
    {},
  ],
];

for (const [what, body, headers, options] of TAKEN) {
  Deno.test(`POST /v1/analyze takes ${what}`, async () => {
    const pipeline = fakePipeline();
    const handler = createHandler({ pipeline });
    const response = await post(handler, "/v1/analyze", body, headers);
    assert.equal(response.status, 200, await response.text());
    assert.deepEqual(pipeline.calls[0]!.bytes, PHOTO);
    assert.deepEqual(pipeline.calls[0]!.options, options);
  });
}

const REFUSED: [
  what: string,
  body: BodyInit | null,
  headers: HeadersInit,
  detail: RegExp,
  path?: string,
][] = [
  ["no body", null, {}, /body is empty/],
  ["an empty body", new Uint8Array(0), {}, /body is empty/],
  ["an empty JSON body", "", JSON_TYPE, /not valid JSON/, "body"],
  ["malformed JSON", '{"image":', JSON_TYPE, /not valid JSON/, "body"],
  ["JSON that is no object", "[1]", JSON_TYPE, /JSON body/, ""],
  ["JSON null", "null", JSON_TYPE, /JSON body/, ""],
  ["JSON without an image", "{}", JSON_TYPE, /image/, "image"],
  ["JSON with an empty image", '{"image":""}', JSON_TYPE, /image/, "image"],
  [
    "JSON with an image that is a number",
    '{"image":1}',
    JSON_TYPE,
    /image/,
    "image",
  ],
  ["malformed base64", '{"image":"*"}', JSON_TYPE, /base64/, "image"],
  [
    "a URL for an image",
    '{"image":"https://example.org/face.jpg"}',
    JSON_TYPE,
    /base64/,
    "image",
  ],
  [
    "an unknown JSON field",
    json({ image: "AAAA", photo: 1 }),
    JSON_TYPE,
    /photo/,
    "photo",
  ],
  [
    "an unknown option in JSON",
    json({ image: "AAAA", options: { maxFace: 1 } }),
    JSON_TYPE,
    /maxFace/,
    "options.maxFace",
  ],
  [
    "options in JSON that are no object",
    json({ image: "AAAA", options: "all" }),
    JSON_TYPE,
    /options/,
    "options",
  ],
  [
    "multipart without a boundary",
    "x",
    { "content-type": "multipart/form-data" },
    /multipart/,
    "body",
  ],
  ["malformed multipart", "nothing", MULTIPART, /multipart/, "body"],
  [
    "multipart that ends early",
    '--x\r\ncontent-disposition: form-data; name="image"; filename="a"\r\n\r\nabc',
    MULTIPART,
    /multipart/,
    "image",
  ],
  ["multipart without an image", "--x--\r\n", MULTIPART, /image/, "image"],
  [
    "an unknown multipart part",
    form(PHOTO, { photo: "x" }),
    {},
    /photo/,
    "photo",
  ],
  [
    "multipart options that are no JSON",
    form(PHOTO, { options: "maxFaces=1" }),
    {},
    /options/,
    "options",
  ],
  [
    "an unknown option in multipart",
    form(PHOTO, { options: '{"maxFace":1}' }),
    {},
    /maxFace/,
    "options.maxFace",
  ],
];

for (const [what, body, headers, detail, path] of REFUSED) {
  Deno.test(`POST /v1/analyze refuses ${what}`, async () => {
    const pipeline = fakePipeline();
    const handler = createHandler({ pipeline });
    const response = await post(handler, "/v1/analyze", body, headers);
    const { errors } = await problem(response, "invalid_request", detail);
    if (path !== undefined) assert.equal(errors?.[0]?.path, path);
    assert.deepEqual(pipeline.calls, []);
  });
}

Deno.test("POST /v1/analyze refuses an image part that is text, no file", async () => {
  const handler = createHandler({ pipeline: fakePipeline() });
  const data = new FormData();
  data.append("image", "text");
  const response = await post(handler, "/v1/analyze", data);
  await problem(response, "invalid_request", /file part image/);
});

Deno.test("POST /v1/analyze refuses a part given twice", async () => {
  const handler = createHandler({ pipeline: fakePipeline() });
  const data = form(PHOTO);
  data.append("image", new Blob([PHOTO]), "second.jpg");
  const response = await post(handler, "/v1/analyze", data);
  await problem(response, "invalid_request", /image.*twice/);
});

Deno.test("POST /v1/analyze hands a neutral on, in every form that has it", async () => {
  const image = base64(PHOTO), neutral = base64(NEUTRAL);
  const bodies: [BodyInit, HeadersInit][] = [
    [form(PHOTO, { neutral: new Blob([NEUTRAL]) }), {}],
    [json({ image, neutral }), JSON_TYPE],
    [json({ image, neutral: `data:image/png;base64,${neutral}` }), JSON_TYPE],
  ];
  for (const [body, headers] of bodies) {
    const pipeline = fakePipeline(), handler = createHandler({ pipeline });
    const path = "/v1/analyze?attributes=actionUnits";
    const response = await post(handler, path, body, headers);
    assert.equal(response.status, 200, await response.text());
    assert.deepEqual(pipeline.calls[0]!.bytes, PHOTO);
    assert.deepEqual(pipeline.calls[0]!.neutral, NEUTRAL);
  }
});

Deno.test("POST /v1/analyze refuses a neutral that nothing asked for needs", async () => {
  const handler = createHandler({ pipeline: fakePipeline() });
  const body = form(PHOTO, { neutral: new Blob([NEUTRAL]) });
  const response = await post(handler, "/v1/analyze", body);
  await problem(response, "unsupported_option", /neutral.*actionUnits/);
});

Deno.test("POST /v1/analyze refuses a neutral that is no file, or no base64", async () => {
  const handler = createHandler({ pipeline: fakePipeline() });
  const path = "/v1/analyze?attributes=actionUnits";
  const text = await post(handler, path, form(PHOTO, { neutral: "a face" }));
  await problem(text, "invalid_request", /neutral/);
  const body = json({ image: base64(PHOTO), neutral: "%%%" });
  const wrong = await post(handler, path, body, JSON_TYPE);
  const { errors } = await problem(wrong, "invalid_request", /neutral.*base64/);
  assert.equal(errors?.[0]?.path, "neutral");
});
