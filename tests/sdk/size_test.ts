import { stop } from "esbuild";
import assert from "node:assert/strict";
import { bundle } from "../../src/cli/bundle.ts";

const LIMITS = [["client", 6000], ["preprocess", 4000]] as const;

Deno.test.afterAll(() => stop());

async function gzipped(bytes: Uint8Array<ArrayBuffer>): Promise<number> {
  const stream = new Blob([bytes]).stream().pipeThrough(
    new CompressionStream("gzip"),
  );
  return (await new Response(stream).arrayBuffer()).byteLength;
}

for (const [entry, limit] of LIMITS) {
  Deno.test({
    name:
      `${entry} is at most ${limit} bytes, minified and gzipped, and imports nothing`,
    sanitizeOps: false, // esbuild's process serves the next bundle, too
    sanitizeResources: false,
    async fn() {
      const bytes = await bundle(entry);
      const size = await gzipped(bytes);
      assert.ok(size <= limit, `${entry}: ${size} bytes`);
      const text = new TextDecoder().decode(bytes);
      assert.doesNotMatch(text, /\bimport\s*[({"']|\bfrom\s*["']|require\(/);
      assert.match(text, /export\s*{/);
    },
  });
}
