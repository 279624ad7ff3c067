// No server at all: npm install @mien/mien onnxruntime-web, then
//   node node_offline.mjs photo.jpg
import { createAnalyzer } from "@mien/mien/local";
import { readFile } from "node:fs/promises";
import process from "node:process";
import * as ort from "onnxruntime-web";

const analyzer = await createAnalyzer({ ort });
for (const photo of process.argv.slice(2)) {
  const { faces } = await analyzer.analyze(await readFile(photo));
  console.log(photo, faces.map(({ expression }) => expression.label));
}
await analyzer.close();
