import { stop } from "esbuild";
import assert from "node:assert/strict";
import { bundle, gzip } from "../../src/cli/bundle.ts";

const LIMITS = [["client", 6000], ["preprocess", 4000]] as const;

Deno.test.afterAll(() => stop());

for (const [entry, limit] of LIMITS) {
  Deno.test({
    name:
      `${entry} is at most ${limit} bytes, minified and gzipped, and imports nothing`,
    sanitizeOps: false, // esbuild's process serves the next bundle, too
    sanitizeResources: false,
    async fn() {
      const bytes = await bundle(entry);
      const { length: size } = await gzip(bytes);
      assert.ok(size <= limit, `${entry}: ${size} bytes`);
      const text = new TextDecoder().decode(bytes);
      assert.doesNotMatch(text, /\bimport\s*[({"']|\bfrom\s*["']|require\(/);
      assert.match(text, /export\s*{/);
    },
  });
}
