import assert from "node:assert/strict";
import { ModelStore, sha256 } from "../../src/pipeline/manifest.ts";
import { MODELS_URL } from "../../src/pipeline/model_files.ts";
import { type Progress, readWeights } from "../../src/sdk/weights.ts";
import { handler } from "../handlers/real.ts";
import { models } from "../pipeline/support.ts";

const MODEL = "face_detection_yunet";
const { file, sha256: hash, bytes: size } = models.get(MODEL);
const expected = await Deno.readFile(new URL(file!, MODELS_URL));
const STORE = "mien-models";

/** A server in front of the handler whose requests are counted, and which can be cut off. */
function serve() {
  const asked: string[] = [];
  const state = { cut: false, spoil: false };
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen() {} },
    async (request) => {
      asked.push(new URL(request.url).pathname);
      if (state.cut) return new Response(null, { status: 503 });
      const response = await handler(request);
      return state.spoil ? new Response("spoilt") : response;
    },
  );
  const address = `http://127.0.0.1:${server.addr.port}`;
  return { asked, state, address, close: () => server.shutdown() };
}

Deno.test("weights come from a server, are kept by hash, and serve without it", async () => {
  await caches.delete(STORE);
  const server = serve();
  const source = { server: server.address };
  const seen: Progress[] = [];
  const first = readWeights(source, { onProgress: (step) => seen.push(step) });
  const store = await ModelStore.open(first);
  assert.deepEqual(await store.bytes(MODEL), expected);
  assert.deepEqual(server.asked, [
    "/v1/models",
    `/v1/models/${MODEL}/files/${MODEL}.onnx`,
  ]);
  assert.deepEqual(seen.at(-1), { file, loaded: size, total: size });

  server.state.cut = true;
  const again = await ModelStore.open(readWeights(source));
  assert.deepEqual(await again.bytes(MODEL), expected);
  assert.equal(server.asked.length, 3);
  await assert.rejects(again.bytes("face_landmarks_mien"), {
    name: "ConnectionError",
  });
  const without = readWeights(source, { cache: false });
  await assert.rejects(ModelStore.open(without), { name: "ConnectionError" });
  await server.close();
  await caches.delete(STORE);
});

Deno.test("weights that are not what the manifest says are refused, and fetched anew next time", async () => {
  await caches.delete(STORE);
  const server = serve();
  const store = await ModelStore.open(readWeights({ server: server.address }));
  server.state.spoil = true;
  await assert.rejects(store.bytes(MODEL), /sha256 is/);
  server.state.spoil = false;
  assert.deepEqual(await store.bytes(MODEL), expected);
  assert.equal(await sha256(expected), hash);
  await server.close();
  await caches.delete(STORE);
});

Deno.test("weights come from a folder's address, with or without a slash", async () => {
  for (const folder of [MODELS_URL, MODELS_URL.href.slice(0, -1)]) {
    const store = await ModelStore.open(readWeights(folder));
    assert.deepEqual(await store.bytes(MODEL), expected);
  }
});

Deno.test("weights come as bytes, or in one's own way", async () => {
  const manifest = new TextEncoder().encode(JSON.stringify(models.specs));
  const files = { "manifest.json": manifest, [file!]: expected };
  const store = await ModelStore.open(readWeights({ files }));
  assert.deepEqual(await store.bytes(MODEL), expected);
  await assert.rejects(store.bytes("face_landmarks_mien"), /among the files/);
  const own = await ModelStore.open(readWeights(
    (name) => Promise.resolve(new Uint8Array(files[name]!)),
  ));
  assert.deepEqual(await own.bytes(MODEL), expected);
});
