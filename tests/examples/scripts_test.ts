import assert from "node:assert/strict";
import { Site } from "../browser/site.ts";
import { install } from "../jsr/install.ts";
import { Folder, run } from "../jsr/run.ts";

const ROOT = new URL("../../", import.meta.url);
const PHOTO = new URL("tests/testdata/images/astronaut.jpg", ROOT).pathname;

Deno.test("the examples for Deno and Node print what the photo shows", async (t) => {
  await using site = await Site.open();
  using folder = new Folder();
  await install(folder.path);
  const node = (name: string, ...args: string[]) => async () => {
    const cwd = `${folder.path}/user`;
    await Deno.copyFile(new URL(`examples/${name}`, ROOT), `${cwd}/${name}`);
    return await run("node", [name, PHOTO, ...args], { cwd });
  };
  const deno = (name: string, ...args: string[]) => () =>
    run(
      Deno.execPath(),
      [
        "run",
        "--allow-read",
        "--allow-net",
        "--allow-env",
        `examples/${name}`,
        PHOTO,
        ...args,
      ],
      { cwd: ROOT },
    );
  const server = site.url("");
  const scripts: Record<string, () => Promise<string>> = {
    "fetch.mjs in Node": node("fetch.mjs", server),
    "fetch.mjs in Deno": deno("fetch.mjs", server),
    "deno.ts": deno("deno.ts", server),
    "deno_offline.ts": deno("deno_offline.ts"),
    "node.mjs": node("node.mjs", server),
    "node_offline.mjs": node("node_offline.mjs"),
  };
  for (const [name, script] of Object.entries(scripts)) {
    await t.step(name, async () => {
      assert.match(await script(), /happiness/);
    });
  }
});
