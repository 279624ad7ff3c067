import assert from "node:assert/strict";

const COPIES: [name: string, from: string][] = [
  ["jpeg", "imagescript/wasm/any/jpeg.wasm"],
  ["png", "imagescript/wasm/any/png.wasm"],
  ["webp", "@jsquash/webp/codec/dec/webp_dec.wasm"],
];

for (const [name, from] of COPIES) {
  Deno.test(`${name}.bin is the package's own file`, async () => {
    const copy = new URL(
      `../../src/pipeline/codecs/${name}.bin`,
      import.meta.url,
    );
    const origin = new URL(import.meta.resolve(from));
    assert.deepEqual(await Deno.readFile(copy), await Deno.readFile(origin));
  });
}
