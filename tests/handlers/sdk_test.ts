import assert from "node:assert/strict";
import { SDK_PATHS, sdkFile } from "../../src/handlers/sdk.ts";

function ask(path: string, encoding = ""): Promise<Response> {
  const headers = { "accept-encoding": encoding };
  return sdkFile(path, new Request(`http://mien.test${path}`, { headers }));
}

const { code, stderr } = await new Deno.Command(Deno.execPath(), {
  args: ["task", "bundle"],
  cwd: new URL("../../", import.meta.url),
}).output();
assert.equal(code, 0, new TextDecoder().decode(stderr));

Deno.test("every file of the SDK is served with its type once the bundle is built", async () => {
  for (const path of SDK_PATHS) {
    const response = await ask(path);
    assert.equal(response.status, 200);
    const type = response.headers.get("content-type")!;
    assert.match(type, /js$/.test(path) ? /javascript/ : /application/);
    assert.ok((await response.bytes()).length > 1000, path);
  }
});

Deno.test("ONNX Runtime's wasm goes packed to those who take it so", async () => {
  const path = "/sdk/ort-wasm-simd-threaded.wasm";
  const packed = await ask(path, "gzip, br");
  assert.equal(packed.headers.get("content-encoding"), "gzip");
  assert.equal(packed.headers.get("vary"), "accept-encoding");
  const open = packed.body!.pipeThrough(new DecompressionStream("gzip"));
  assert.deepEqual(
    await new Response(open).bytes(),
    await (await ask(path)).bytes(),
  );
});
