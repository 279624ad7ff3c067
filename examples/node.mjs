// The client in Node 20 or later: npm install @mien/mien, then
//   node node.mjs photo.jpg
import { Mien } from "@mien/mien/client";
import { readFile } from "node:fs/promises";
import process from "node:process";

const [photo, endpoint = "http://127.0.0.1:8000"] = process.argv.slice(2);
const mien = new Mien({ endpoint });
const { faces } = await mien.analyze(await readFile(photo));
for (const { expression } of faces) console.log(expression.label);
