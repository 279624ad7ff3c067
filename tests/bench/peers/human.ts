/**
 * Human as its documentation sets it up for WASM outside a browser: detector, mesh and emotion, with
 * everything else and its caching between frames off; one thread; JPEG decoded by mozjpeg in WASM.
 * Started by main.ts.
 *
 * @module
 */
// deno-lint-ignore-file no-explicit-any
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { serve } from "../serve.ts";

/** Faces asked for; Human's default is one. */
const FACES = 10;

const require = createRequire(import.meta.url);
const folder = (name: string) =>
  require.resolve(`${name}/package.json`).replace("package.json", "");
/** Its package names no entry for WASM outside a browser, so the file is taken by its path. */
const home = require.resolve("@vladmandic/human").replace(/dist\/.*/, "");
const wasm: any = require("@tensorflow/tfjs-backend-wasm");
const { Human }: any = require(`${home}dist/human.node-wasm.js`);
const codec: any = await import(
  pathToFileURL(folder("@jsquash/jpeg") + "decode.js").href
);

wasm.setThreadsCount(1);
const off = { enabled: false };
const each = { skipFrames: 0, skipTime: 0 };
const human = new Human({
  backend: "wasm",
  wasmPath: folder("@tensorflow/tfjs-backend-wasm") + "dist/",
  modelBasePath: pathToFileURL(home + "models/").href,
  cacheSensitivity: 0,
  warmup: "none",
  debug: false,
  filter: off,
  gesture: off,
  face: {
    detector: { ...each, maxDetected: FACES },
    mesh: { enabled: true },
    iris: off,
    description: off,
    emotion: { ...each, enabled: true },
  },
  body: off,
  hand: off,
  object: off,
});
await human.load();
if (human.tf.getBackend() !== "wasm") {
  throw new Error("Cannot use tfjs in WASM");
}
const mozjpeg = folder("@jsquash/jpeg") + "codec/dec/mozjpeg_dec.wasm";
await codec.init(await WebAssembly.compile(await Deno.readFile(mozjpeg)));

await serve(async (bytes) => {
  const start = performance.now();
  const { data, width, height } = await codec.default(bytes.buffer);
  const decoded = performance.now();
  const { tf } = human;
  const pixels = { data: new Uint8Array(data.buffer), width, height };
  const tensor = tf.tidy(() =>
    tf.expandDims(tf.cast(tf.browser.fromPixels(pixels, 3), "float32"))
  );
  const { face, error } = await human.detect(tensor);
  tensor.dispose();
  if (error) throw new Error(error);
  return {
    faces: face.map(({ box, score, emotion }: any) => ({
      box: { x: box[0], y: box[1], width: box[2], height: box[3] },
      score,
      label: emotion?.[0]?.emotion ?? "none",
    })),
    timing: { decodeMs: decoded - start },
  };
});
