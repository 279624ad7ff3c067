import assert from "node:assert/strict";
import * as ort from "onnxruntime-web";
import { createHandler } from "../../src/handlers/mod.ts";
import { decode } from "../../src/pipeline/decode.ts";
import { readHeader } from "../../src/pipeline/header.ts";
import { createPipeline, IMAGE_LIMITS } from "../../src/pipeline/mod.ts";
import { Mien } from "../../src/sdk/client.ts";
import * as local from "../../src/sdk/local.ts";
import * as preprocess from "../../src/sdk/preprocess.ts";
import { assertSameNumbers } from "../sdk/numbers.ts";
import { check, PICTURES, WANTED } from "./check.js";

const ROOT = new URL("../../", import.meta.url);

/** What {@linkcode check} found in some runtime. */
export type Findings = Awaited<ReturnType<typeof check>>;

/** A file of the repository. */
export function readFile(path: string): Promise<Uint8Array<ArrayBuffer>> {
  return Deno.readFile(new URL(path, ROOT));
}

/** The pack in this Deno. */
export async function checkHere(): Promise<Findings> {
  return await check({ preprocess, local, ort, read: readFile });
}

/**
 * Fails where a runtime's findings are not the server's: numbers by more than a thousandth, and
 * the aligned crop, which is 8-bit, by anything at all.
 */
export async function assertConforms(found: Findings): Promise<void> {
  const pipeline = await createPipeline({
    workers: 0,
    limits: { minSide: 16 },
  });
  const handler = createHandler({ pipeline });
  const mien = new Mien({
    endpoint: "http://mien.test",
    fetch: async (input, init) => await handler(new Request(input, init)),
  });
  await pipeline.ready;
  assert.equal(found.answers.length, PICTURES.length);
  for (const [index, name] of PICTURES.entries()) {
    const photo = await readFile(`tests/testdata/images/${name}`);
    const { image, faces } = await mien.analyze(
      photo,
      WANTED as Parameters<Mien["analyze"]>[1],
    );
    assertSameNumbers(found.answers[index], { image, faces }, name);
  }
  await pipeline.close();
  assert.ok(found.answers[0].faces.length > 0);
  assert.ok(found.tensors > 10_000 && found.outputs > 10);
  const [mine, theirs] = await Promise.all([found, await checkHere()].map(
    async ({ crop }) => {
      const png = Uint8Array.from(crop);
      return await decode(png, readHeader(png, IMAGE_LIMITS));
    },
  ));
  assert.deepEqual(mine, theirs);
}
