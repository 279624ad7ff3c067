// The client in Deno: deno add jsr:@mien/mien, then
//   deno run --allow-net --allow-read examples/deno.ts photo.jpg
import { APIError, Mien } from "@mien/mien/client";

const [photo, endpoint = "http://127.0.0.1:8000"] = Deno.args;
const mien = new Mien({ endpoint, timeoutMs: 10_000 });
try {
  const { faces } = await mien.analyze(await Deno.readFile(photo!), {
    attributes: ["expression", "quality"],
    minConfidence: 0.5,
  });
  for (const { expression } of faces) {
    console.log(expression!.label, expression!.decision);
  }
} catch (error) {
  if (!(error instanceof APIError)) throw error;
  console.error(`${error.code}: ${error.message} (request ${error.requestId})`);
  Deno.exit(1);
}
