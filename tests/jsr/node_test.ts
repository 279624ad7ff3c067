import assert from "node:assert/strict";
import { assertConforms, type Findings } from "../conformance/expected.ts";
import { install } from "./install.ts";
import { Folder, run } from "./run.ts";

const ROOT = new URL("../../", import.meta.url);
const CONFORM = `
import * as ort from "onnxruntime-web";
import * as local from "@mien/mien/local";
import * as preprocess from "@mien/mien/preprocess";
import { readFile } from "node:fs/promises";
const root = ${JSON.stringify(ROOT.href)};
const { check } = await import(root + "tests/conformance/check.js");
const read = async (path) => new Uint8Array(await readFile(new URL(path, root)));
console.log(JSON.stringify(await check({ ort, local, preprocess, read })));
process.exit(0);
`;

const SERVE = `
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { Mien, APIError } from "@mien/mien/client";
import { createHandler, createPipeline } from "@mien/mien/server";
const pipeline = await createPipeline();
await pipeline.ready;
const handler = createHandler({ pipeline });
const server = createServer(async (incoming, outgoing) => {
  const chunks = [];
  for await (const chunk of incoming) chunks.push(chunk);
  const { method, url, headers } = incoming;
  const init = { method, headers, ...(method === "GET" ? {} : { body: Buffer.concat(chunks) }) };
  const response = await handler(new Request(new URL(url, "http://localhost"), init));
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  outgoing.end(Buffer.from(await response.arrayBuffer()));
}).listen(0, async () => {
  const mien = new Mien({ endpoint: "http://127.0.0.1:" + server.address().port });
  const photo = await readFile(new URL("tests/testdata/images/astronaut.jpg", ${
  JSON.stringify(ROOT.href)
}));
  const { faces } = await mien.analyze(photo, { attributes: "all" });
  const error = await mien.analyze(photo, { maxFaces: 0 }).catch((error) => error);
  const models = await mien.models();
  console.log(JSON.stringify({
    label: faces[0].expression.label,
    refused: error instanceof APIError && error.code,
    status: (await mien.health()).status,
    models: models.map(({ name }) => name),
    metrics: await (await handler(new Request("http://localhost/metrics"))).text(),
  }));
  process.exit(0);
});
`;

/** A consumer written as strictly as it gets, checked against the package's own declarations. */
const TYPED = `
import * as ort from "onnxruntime-web";
import { type Analysis, APIError, Mien } from "@mien/mien/client";
import { createAnalyzer } from "@mien/mien/local";
import { type RawImage, toRawImage } from "@mien/mien/preprocess";

export async function both(photo: Blob, video: { videoWidth: number; videoHeight: number }): Promise<Analysis[]> {
  const analyzer = await createAnalyzer({ ort, onProgress: ({ loaded }) => loaded.toFixed() });
  const mien = new Mien({ endpoint: new URL("https://mien.test"), analyzer, maxRetries: 1 });
  const raw: RawImage = toRawImage(video);
  try {
    return [await mien.analyze(photo, { attributes: ["quality"], privacy: "crops" }), await analyzer.analyze(raw)];
  } catch (error) {
    if (error instanceof APIError && error.code === "rate_limited") return [];
    throw error;
  }
}

// @ts-expect-error a misspelt attribute is refused
export const wrong = (mien: Mien) => mien.analyze(new Blob(), { attributes: ["smile"] });
`;

Deno.test("the packed tarball works in Node: offline, as a server, and for the compiler", async (t) => {
  using folder = new Folder();
  await install(folder.path);
  const cwd = `${folder.path}/user`;
  async function node(name: string, program: string): Promise<string> {
    await Deno.writeTextFile(`${cwd}/${name}`, program);
    const printed = await run("node", [name], { cwd });
    return printed.split("\n").find((line) => line.startsWith("{"))!;
  }

  await t.step("Node conforms: tensors, outputs, answers", async () => {
    const found: Findings = JSON.parse(await node("conform.mjs", CONFORM));
    await assertConforms(found);
  });
  await t.step("a server in Node answers the client in Node", async () => {
    const { label, refused, status, models, metrics } = JSON.parse(
      await node("serve.mjs", SERVE),
    );
    assert.deepEqual([label, refused, status], [
      "happiness",
      "invalid_request",
      "ready",
    ]);
    assert.equal(models.length, 3);
    assert.match(metrics, /^mien_build_info\{.*runtime="node \d/m);
    assert.match(metrics, /^mien_faces_total\{backend="wasm"\} 1$/m);
  });
  await t.step("its declarations compile, strictly", async () => {
    await Deno.writeTextFile(`${cwd}/typed.ts`, TYPED);
    await Deno.writeTextFile(
      `${cwd}/deno.json`,
      JSON.stringify({
        nodeModulesDir: "manual",
        compilerOptions: {
          strict: true,
          exactOptionalPropertyTypes: true,
          noUncheckedIndexedAccess: true,
          lib: ["dom", "dom.iterable", "dom.asynciterable", "esnext"],
        },
      }),
    );
    await run(Deno.execPath(), ["check", "typed.ts"], { cwd });
  });
});
