import { createHandler } from "../../src/handlers/mod.ts";
import { createPipeline } from "../../src/pipeline/mod.ts";
import type { Analysis } from "../../src/types.ts";
import { post } from "./requests.ts";

/** One pipeline in this thread, shared by every test of a file. */
export const pipeline = await createPipeline({ workers: 0 });
await pipeline.ready;
Deno.test.afterAll(() => pipeline.close());

/** The handler over it. */
export const handler = createHandler({ pipeline });

/** The answer to an image; fails when it is an error. */
export async function analyze(
  image: BodyInit,
  query = "",
): Promise<Analysis> {
  const response = await post(handler, `/v1/analyze?${query}`, image);
  const body = await response.json();
  if (response.status !== 200) throw new Error(JSON.stringify(body));
  return body;
}
