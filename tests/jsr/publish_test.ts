import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import { writePackage } from "../../src/cli/package.ts";
import { VERSION } from "../../src/version.ts";
import { Registry } from "./registry.ts";
import { Folder, run } from "./run.ts";

const PHOTO = new URL("../testdata/images/astronaut.jpg", import.meta.url);
const WEBP = new URL("../testdata/images/alpha.webp", import.meta.url);

/** What a user writes: the client against the server, the engine offline, the preprocessing. */
const PROGRAM = `
import * as ort from "npm:onnxruntime-web@1.30.0";
import { VERSION } from "jsr:@mien/mien@${VERSION}";
import { Mien } from "jsr:@mien/mien@${VERSION}/client";
import { createAnalyzer } from "jsr:@mien/mien@${VERSION}/local";
import { toRawImage } from "jsr:@mien/mien@${VERSION}/preprocess";
import { createHandler, createPipeline } from "jsr:@mien/mien@${VERSION}/server";

const [photo, webp] = await Promise.all(Deno.args.map((path) => Deno.readFile(path)));
const analyzer = await createAnalyzer({ ort });
const offline = await analyzer.analyze(photo!);
const { image } = await analyzer.analyze(webp!);
await analyzer.close();

const pipeline = await createPipeline({ workers: 1 });
await pipeline.ready;
const handler = createHandler({ pipeline });
const mien = new Mien({
  endpoint: "http://mien.test",
  fetch: (input, init) => handler(new Request(input, init)),
});
const online = await mien.analyze(photo!, { attributes: "all" });
const page = await handler(new Request("http://mien.test/"));
await pipeline.close();

console.log(JSON.stringify({
  VERSION,
  labels: [offline, online].map(({ faces }) => faces[0]!.expression!.label),
  type: image.type,
  page: page.status,
  width: toRawImage({ data: new Uint8Array(4), width: 1, height: 1 }).width,
}));
`;

Deno.test("the package is published, and imported back in a fresh cache as a user would", async () => {
  using folder = new Folder();
  await using registry = new Registry();
  const [source, user, cache] = ["package", "user", "cache"].map((name) =>
    `${folder.path}/${name}`
  ) as [string, string, string];
  await writePackage(pathToFileURL(`${source}/`));
  const said = await run(
    Deno.execPath(),
    ["publish", "--token", "none", "--allow-dirty"],
    { cwd: source, env: { JSR_URL: registry.url } },
  );
  // The demo's scripts are run by pages, where an address made at run time is all there is.
  const warned = said.matchAll(/(?:warning|error)\[.*\n\s*--> (.*)/g);
  const places = Array.from(warned, ([, place]) => place!);
  assert.deepEqual(places.filter((at) => !at.includes("/demo/")), []);

  const files = registry.files("@mien/mien");
  const names = [...files.keys()].map((name) => name.slice(1));
  const strange = names.filter((name) =>
    !/^(deno\.json|mod\.ts|[A-Z]+(\.md)?|models\/.*|src\/(handlers|pipeline|sdk)\/.*|src\/(types|version)\.ts)$/
      .test(name)
  );
  assert.deepEqual(strange, []);
  const weights = [...files].filter(([name]) => name.endsWith(".onnx"));
  const bytes = weights.reduce((sum, [, { length }]) => sum + length, 0);
  assert.ok(bytes > 0 && bytes < 3e6, `${bytes} bytes of weights`);

  await Deno.mkdir(user);
  await Deno.mkdir(cache);
  const info = JSON.parse(await run(Deno.execPath(), ["info", "--json"]));
  // Packages of npm are the user's own affair, and large: they come from this machine's cache.
  await Deno.mkdir(`${info.denoDir}/npm`, { recursive: true });
  await Deno.symlink(`${info.denoDir}/npm`, `${cache}/npm`);
  await Deno.writeTextFile(`${user}/deno.json`, "{}");
  await Deno.writeTextFile(`${user}/main.ts`, PROGRAM);
  const host = new URL(registry.url).host;
  const printed = await run(
    Deno.execPath(),
    [
      "run",
      "--check",
      "--quiet",
      "--allow-read",
      "--allow-env",
      "--allow-net",
      `--allow-import=${host}`,
      "main.ts",
      ...[PHOTO, WEBP].map((url) => url.pathname),
    ],
    { cwd: user, env: { JSR_URL: registry.url, DENO_DIR: cache } },
  );
  assert.deepEqual(JSON.parse(printed.trim().split("\n").at(-1)!), {
    VERSION,
    labels: ["happiness", "happiness"],
    type: "image/webp",
    page: 200,
    width: 1,
  });
});
