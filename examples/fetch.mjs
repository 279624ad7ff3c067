// Without the SDK: one POST. With `deno task start` running:
//   node examples/fetch.mjs photo.jpg        or        deno run -A examples/fetch.mjs photo.jpg
import { readFile } from "node:fs/promises";
import process from "node:process";

const [photo, server = "http://127.0.0.1:8000"] = process.argv.slice(2);
const response = await fetch(
  `${server}/v1/analyze?attributes=expression,quality`,
  {
    method: "POST",
    body: await readFile(photo),
  },
);
const answer = await response.json();
if (!response.ok) throw new Error(`${answer.code}: ${answer.detail}`);
for (const { expression, quality } of answer.faces) {
  console.log(expression.label, expression.score.toFixed(2), quality.issues);
}
