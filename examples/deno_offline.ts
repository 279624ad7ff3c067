// No server at all: the engine in Deno, weights from the package. deno add jsr:@mien/mien npm:onnxruntime-web, then
//   deno run --allow-read --allow-net --allow-env examples/deno_offline.ts photo.jpg
import { createAnalyzer } from "@mien/mien/local";
import * as ort from "onnxruntime-web";

const analyzer = await createAnalyzer({ ort });
for (const photo of Deno.args) {
  const { faces } = await analyzer.analyze(await Deno.readFile(photo));
  console.log(photo, faces.map(({ expression }) => expression!.label));
}
await analyzer.close();
