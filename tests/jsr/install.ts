import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import { writePackage } from "../../src/cli/package.ts";
import { run } from "./run.ts";

const ROOT = new URL("../../", import.meta.url);
/** The packed tarball's greatest size. */
const LIMIT = 5_000_000;

/** Packs the package and lays it out as npm would, with what it declares and no more: in `user`. */
export async function install(folder: string): Promise<void> {
  await writePackage(pathToFileURL(`${folder}/package/`));
  const tarball = `${folder}/mien.tgz`;
  await run(Deno.execPath(), ["pack", "-o", tarball], {
    cwd: `${folder}/package`,
  });
  const { size } = await Deno.stat(tarball);
  assert.ok(size <= LIMIT, `the tarball has ${size} bytes`);

  const installed = `${folder}/user/node_modules/@mien/mien`;
  await Deno.mkdir(installed, { recursive: true });
  await run("tar", ["xzf", tarball, "--strip-components=1", "-C", installed]);
  const { dependencies } = JSON.parse(
    await Deno.readTextFile(`${installed}/package.json`),
  );
  assert.ok(!("onnxruntime-node" in dependencies));
  for (const name of Object.keys(dependencies)) {
    const link = `${folder}/user/node_modules/${name}`;
    await Deno.mkdir(link.slice(0, link.lastIndexOf("/")), { recursive: true });
    await Deno.symlink(new URL(`node_modules/${name}`, ROOT).pathname, link);
  }
  const own = { type: "module", dependencies: { "@mien/mien": "*" } };
  await Deno.writeTextFile(
    `${folder}/user/package.json`,
    JSON.stringify({
      ...own,
      dependencies: { ...own.dependencies, ...dependencies },
    }),
  );
}
