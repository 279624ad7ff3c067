import { stop } from "esbuild";
import { pathToFileURL } from "node:url";
import { bundle, ENTRIES, gzip } from "../../src/cli/bundle.ts";
import { writePackage } from "../../src/cli/package.ts";
import { Folder, run } from "../jsr/run.ts";
import { type Row, table } from "./report.ts";
import type { Findings } from "./section.ts";

/** What the design allows, in bytes. */
const LIMITS: Record<string, number> = {
  "client, minified and gzipped": 6000,
  "preprocess, minified and gzipped": 4000,
  "weights in the package": 3_000_000,
  "npm tarball": 5_000_000,
};

/** Bytes a user receives: each entry of the SDK, the package, the weights in it. */
export async function sizes(): Promise<Findings> {
  const found: Record<string, number> = {};
  for (const entry of ENTRIES) {
    const { length } = await gzip(await bundle(entry));
    found[`${entry}, minified and gzipped`] = length;
  }
  await stop();
  using folder = new Folder();
  await writePackage(pathToFileURL(`${folder.path}/package/`));
  let weights = 0;
  const models = `${folder.path}/package/models`;
  for await (const { name, isDirectory } of Deno.readDir(models)) {
    if (!isDirectory) continue;
    for await (const file of Deno.readDir(`${models}/${name}`)) {
      if (!file.name.endsWith(".onnx")) continue;
      weights += (await Deno.stat(`${models}/${name}/${file.name}`)).size;
    }
  }
  found["weights in the package"] = weights;
  const tarball = `${folder.path}/mien.tgz`;
  await run(Deno.execPath(), ["pack", "-o", tarball], {
    cwd: `${folder.path}/package`,
  });
  found["npm tarball"] = (await Deno.stat(tarball)).size;
  const rows = Object.entries(found).map(([name, bytes]): Row => [
    name,
    bytes,
    LIMITS[name] ?? "–",
  ]);
  return {
    title: "Bytes of the SDK",
    markdown: table(["", "bytes", "at most"], rows),
    figures: found,
    data: found,
  };
}
