import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020 } from "ajv/dist/2020.js";
import assert from "node:assert/strict";
import { createHandler } from "../src/handlers/mod.ts";
import { openApiDocument } from "../src/handlers/openapi.ts";
import { PAGE_PATHS } from "../src/handlers/pages.ts";
import { PROBLEMS } from "../src/handlers/problem.ts";
import { fixture } from "./testdata/pictures.ts";
import { faceCrop, twoFaces } from "./handlers/collage.ts";
import { handler, pipeline } from "./handlers/real.ts";
import { get, post, request } from "./handlers/requests.ts";

// deno-lint-ignore no-explicit-any
type Json = any;

const METHODS = ["get", "post", "put", "patch", "delete", "head", "options"];
const document: Json = await (await get(handler, "/openapi.json")).json();
const operations: { path: string; method: string; operation: Json }[] = Object
  .entries<Json>(document.paths).flatMap(([path, item]) =>
    Object.keys(item).filter((key) => METHODS.includes(key))
      .map((method) => ({ path, method, operation: item[method] }))
  );

/** A copy in which no object may hold a field that its schema does not name. */
function closed(value: Json): Json {
  if (Array.isArray(value)) return value.map(closed);
  if (value === null || typeof value !== "object") return value;
  const copy = Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, closed(item)]),
  );
  const closes = copy.type === "object" && copy.properties &&
    !("additionalProperties" in copy);
  return closes ? { ...copy, additionalProperties: false } : copy;
}

const ajv = new Ajv2020({ strict: false, allErrors: true });
ajv.addSchema({ $id: "mien:api", components: closed(document.components) });

/** Fails with every deviation of a value from a schema. */
function conforms(value: unknown, schema: Json): void {
  const text = JSON.stringify(closed(schema));
  const rooted = JSON.parse(text.replaceAll('"#/', '"mien:api#/'));
  const validate = ajv.compile(rooted);
  assert.ok(validate(value), JSON.stringify(validate.errors, null, 1));
}

function responseSchema(path: string, method: string, status: number): Json {
  const { content } = document.paths[path][method].responses[status];
  return content["application/json"].schema;
}

Deno.test("openapi.json is a valid OpenAPI 3.1 document", async () => {
  assert.equal(document.openapi, "3.1.0");
  const result = await new Validator().validate(structuredClone(document));
  assert.ok(result.valid, JSON.stringify(result, null, 1));
});

Deno.test("openApiDocument() is the same every time", () => {
  assert.deepEqual(JSON.parse(JSON.stringify(openApiDocument())), document);
});

Deno.test("every $ref of the document resolves", () => {
  const refs = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)];
  assert.ok(refs.length > 5);
  for (const [, ref] of refs) {
    const target = ref!.slice(2).split("/")
      .reduce((node: Json, key) => node?.[key], document);
    assert.ok(ref!.startsWith("#/") && target, ref!);
  }
});

Deno.test("every operation has its own id, a summary and a way to succeed", () => {
  const ids = operations.map(({ operation }) => operation.operationId);
  assert.equal(new Set(ids).size, ids.length);
  for (const { path, operation } of operations) {
    assert.ok(operation.operationId && operation.summary, path);
    assert.ok(operation.responses[200] ?? operation.responses[101], path);
  }
});

Deno.test("every path parameter is declared, and every declared one stands in its path", () => {
  for (const { path, operation } of operations) {
    const named = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
    const declared = (operation.parameters ?? [])
      .filter((parameter: Json) => parameter.in === "path")
      .map((parameter: Json) => parameter.name);
    assert.deepEqual(declared, named, path);
  }
});

Deno.test("every documented operation is served", async () => {
  for (const { path, method } of operations) {
    const real = path.replace("{name}", "nobody").replace("{file}", "none");
    const init = { method: method.toUpperCase() };
    const response = await handler(request(real, init));
    const body = await response.text();
    assert.doesNotMatch(body, /"code":"(not_found|method_not_allowed)"/, real);
  }
});

// The routes below /v2 are the Open Inference Protocol's, which has a specification of its own.
Deno.test("every served route is documented, pages, the document and /v2 aside", async () => {
  const source = await Deno.readTextFile(
    new URL("../src/handlers/mod.ts", import.meta.url),
  );
  const served = [...source.matchAll(/app\.(get|post)\(\s*"([^"]+)"/g)]
    .map(([, method, path]) => `${method} ${path!.replace(/:(\w+)/g, "{$1}")}`)
    .filter((route) => route !== "get /openapi.json" && !/ \/v2\b/.test(route));
  const documented = operations.map(({ path, method }) => `${method} ${path}`);
  assert.deepEqual(served.sort(), documented.sort());
  assert.ok(PAGE_PATHS.every((path) => !document.paths[path]));
});

Deno.test("every error code is named at the status the handler gives it", () => {
  const { responses } = document.paths["/v1/analyze"].post;
  for (const [code, { status }] of Object.entries(PROBLEMS)) {
    if (code === "method_not_allowed") continue;
    assert.ok(responses[status]?.description.includes(`\`${code}\``), code);
  }
});

Deno.test("every analyze option is documented with its default", () => {
  const { parameters } = document.paths["/v1/analyze"].post;
  const options = Object.fromEntries(
    parameters.map((item: Json) => [item.name, item.schema.default]),
  );
  assert.deepEqual(options, {
    attributes: "expression",
    model: "auto",
    route: "auto",
    explain: "none",
    maxFaces: 20,
    minDetectionConfidence: 0.6,
    minConfidence: 0,
    coverage: undefined,
    input: "photo",
    format: "mien",
  });
});

const box = { x: 170, y: 50, width: 120, height: 120 };
const PHOTO = fixture("astronaut.jpg");
const ANSWERS: [what: string, image: BodyInit, query: string, faces: number][] =
  [
    ["a plain request", PHOTO, "", 1],
    ["attributes=all", PHOTO, "attributes=all", 1],
    ["coverage=0.95", PHOTO, "coverage=0.95", 1],
    [
      "guided backpropagation",
      PHOTO,
      "model=expression_mini_xception&explain=guidedBackprop",
      1,
    ],
    ["Grad-CAM", PHOTO, "model=expression_patt_lite&explain=gradCam", 1],
    ["attention", PHOTO, "model=expression_patt_lite&explain=attention", 1],
    ["attributes=quality", PHOTO, "attributes=quality", 1],
    ["attributes=landmarks", PHOTO, "attributes=landmarks", 1],
    ["explain=evidence", PHOTO, "explain=evidence", 1],
    ["everything at once", PHOTO, "attributes=all&explain=evidence", 1],
    ["two faces", await twoFaces(), "attributes=all", 2],
    ["no face", fixture("coffee.jpg"), "attributes=all", 0],
    ["a crop", await faceCrop(box, 64), "input=crop&attributes=all", 1],
    ["WebP without a face", fixture("lossy.webp"), "", 0],
  ];

for (const [what, image, query, faces] of ANSWERS) {
  Deno.test(`the answer to ${what} is what the document promises`, async () => {
    const response = await post(handler, `/v1/analyze?${query}`, image);
    assert.equal(response.headers.get("content-type"), "application/json");
    const body = await response.json();
    conforms(body, responseSchema("/v1/analyze", "post", 200));
    assert.equal(body.faces.length, faces);
  });
}

Deno.test("the schema check can fail: a field too many, one missing, one out of range", async () => {
  const body = await (await post(handler, "/v1/analyze", PHOTO)).json();
  const schema = responseSchema("/v1/analyze", "post", 200);
  const spoiled = [
    (face: Json) => (face.mood = "good"),
    (face: Json) => delete face.provenance,
    (face: Json) => (face.expression.score = 1.5),
  ];
  for (const spoil of spoiled) {
    const copy = structuredClone(body);
    spoil(copy.faces[0]);
    assert.throws(() => conforms(copy, schema));
  }
});

Deno.test("problem documents are what the document promises", async () => {
  const closedDoor = createHandler({ pipeline, apiKeys: ["0".repeat(64)] });
  const { schema } = document.paths["/v1/analyze"].post.responses[400]
    .content["application/problem+json"];
  for (
    const response of [
      await post(handler, "/v1/analyze?maxFaces=0&smile=1", PHOTO),
      await post(handler, "/v1/analyze", "text"),
      await post(handler, "/v1/models", ""),
      await get(handler, "/nowhere"),
      await get(closedDoor, "/v1/models"),
    ]
  ) conforms(await response.json(), schema);
});

const READS: [path: string, route: string][] = [
  ["/healthz", "/healthz"],
  ["/v1/models", "/v1/models"],
  ["/v1/models/expression_mini_xception", "/v1/models/{name}"],
];

for (const [path, route] of READS) {
  Deno.test(`GET ${path} is what the document promises`, async () => {
    const response = await get(handler, path);
    assert.equal(response.status, 200);
    conforms(await response.json(), responseSchema(route, "get", 200));
  });
}
