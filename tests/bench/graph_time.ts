/**
 * Milliseconds a graph takes in ONNX Runtime's WASM build, one thread: the graphs in turn, the least of all rounds.
 *
 *     deno run --allow-all tests/bench/graph_time.ts --side=48 --batch=1 one.onnx other.onnx
 *
 * Prints JSON, a row per graph in the order given.
 */
import { parseArgs } from "node:util";
import * as ort from "onnxruntime-web";

const ROUNDS = 100;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    side: { type: "string", default: "48" },
    batch: { type: "string", default: "1" },
    channels: { type: "string", default: "1" },
  },
});
ort.env.wasm.numThreads = 1;
const side = Number(values.side);
const dims = [Number(values.batch), Number(values.channels), side, side];
const length = dims.reduce((product, each) => product * each, 1);
const image = new ort.Tensor(
  "float32",
  Float32Array.from({ length }, (_, i) => Math.sin(i * 0.05)),
  dims,
);
const graphs = await Promise.all(positionals.map(async (file) => ({
  file,
  ms: Infinity,
  session: await ort.InferenceSession.create(await Deno.readFile(file)),
})));
for (let round = 0; round < ROUNDS; round++) {
  for (const graph of graphs) {
    const start = performance.now();
    await graph.session.run({ [graph.session.inputNames[0]!]: image });
    graph.ms = Math.min(graph.ms, performance.now() - start);
  }
}
console.log(
  JSON.stringify(
    graphs.map(({ file, ms }) => ({ file, ms: Number(ms.toFixed(3)) })),
  ),
);
