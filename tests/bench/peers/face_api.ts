/**
 * face-api as its documentation sets it up for WASM without a browser: tiny detector, 68 landmarks,
 * expressions; one thread; JPEG decoded by mozjpeg in WASM. Started by main.ts.
 *
 * @module
 */
// deno-lint-ignore-file no-explicit-any
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { serve } from "../serve.ts";

/** The detector's input: 416 is what its documentation names for group photos, and its default. */
const INPUT_SIZE = 416;

const require = createRequire(import.meta.url);
const folder = (name: string) =>
  require.resolve(`${name}/package.json`).replace("package.json", "");
const tf: any = require("@tensorflow/tfjs");
const wasm: any = require("@tensorflow/tfjs-backend-wasm");
const faceApi: any = require("@vladmandic/face-api/dist/face-api.node-wasm.js");
const codec: any = await import(
  pathToFileURL(folder("@jsquash/jpeg") + "decode.js").href
);

wasm.setWasmPaths(folder("@tensorflow/tfjs-backend-wasm") + "dist/");
wasm.setThreadsCount(1);
await tf.setBackend("wasm");
await tf.ready();
if (tf.getBackend() !== "wasm") throw new Error("Cannot use tfjs in WASM");
const mozjpeg = folder("@jsquash/jpeg") + "codec/dec/mozjpeg_dec.wasm";
await codec.init(await WebAssembly.compile(await Deno.readFile(mozjpeg)));
for (const net of ["tinyFaceDetector", "faceLandmark68Net"]) {
  await faceApi.nets[net].loadFromDisk(
    folder("@vladmandic/face-api") + "model",
  );
}
await faceApi.nets.faceExpressionNet.loadFromDisk(
  folder("@vladmandic/face-api") + "model",
);
const options = new faceApi.TinyFaceDetectorOptions({ inputSize: INPUT_SIZE });

await serve(async (bytes) => {
  const start = performance.now();
  const { data, width, height } = await codec.default(bytes.buffer);
  const decoded = performance.now();
  const pixels = { data: new Uint8Array(data.buffer), width, height };
  const tensor = tf.browser.fromPixels(pixels, 3);
  const found: any[] = await faceApi.detectAllFaces(tensor, options)
    .withFaceLandmarks().withFaceExpressions();
  tensor.dispose();
  return {
    faces: found.map(({ detection, expressions }) => {
      const { x, y, width, height } = detection.box;
      const label = expressions.asSortedArray()[0].expression;
      return { box: { x, y, width, height }, score: detection.score, label };
    }),
    timing: { decodeMs: decoded - start },
  };
});
