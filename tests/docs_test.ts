import assert from "node:assert/strict";
import { openApiDocument } from "../src/handlers/openapi.ts";
import { PROBLEMS } from "../src/handlers/problem.ts";
import { SDK_PATHS } from "../src/handlers/sdk.ts";

const ROOT = new URL("../", import.meta.url);
const DOCS = ["docs/api.md", "docs/offline.md"];
const [api, offline] = await Promise.all(
  DOCS.map((path) => Deno.readTextFile(new URL(path, ROOT))),
) as [string, string];

// deno-lint-ignore no-explicit-any
const { paths } = openApiDocument() as any;

/** The row of a table that begins with a word. */
function row(text: string, word: string): string {
  const line = text.split("\n").find((line) =>
    line.startsWith(`| \`${word}\``)
  );
  assert.ok(line, `no row for ${word}`);
  return line;
}

Deno.test("docs/api.md has every option with every value", () => {
  for (const { name, schema } of paths["/v1/analyze"].post.parameters) {
    const line = row(api, name);
    for (const value of name === "format" ? [] : schema.enum ?? []) {
      assert.ok(line.includes(`\`${value}\``), `${name}: ${value}`);
    }
    for (const bound of [schema.minimum, schema.maximum, schema.default]) {
      if (typeof bound === "number") {
        assert.ok(line.includes(String(bound)), `${name}: ${bound}`);
      }
    }
  }
});

Deno.test("docs/api.md has every error code at its status", () => {
  for (const [code, { status }] of Object.entries(PROBLEMS)) {
    const line = api.split("\n").find((line) => line.includes(`\`${code}\``))!;
    assert.ok(line?.startsWith(`| ${status} `), code);
  }
});

Deno.test("docs/api.md has every route", () => {
  for (const path of Object.keys(paths)) {
    assert.ok(api.includes(` ${path}\``), path);
  }
  for (const path of SDK_PATHS) {
    const written = path.replace(/codecs\/.*/, "codecs/*.bin")
      .replace(/threaded\..*/, "threaded.*");
    assert.ok(api.includes(`\`${written}\``), path);
  }
});

Deno.test("docs name what the analyzer takes", async () => {
  const source = await Deno.readTextFile(new URL("src/sdk/local.ts", ROOT));
  const [, body] = /interface AnalyzerOptions {(.*?)\n}/s.exec(source)!;
  for (const [, name] of body!.matchAll(/^ {2}(\w+)\??:/gm)) {
    if (["limits", "signal"].includes(name!)) continue;
    assert.ok(offline.includes(name!), name);
  }
});

Deno.test("docs/monitoring.md has every metric, and none that there is not", async () => {
  const text = await Deno.readTextFile(new URL("docs/monitoring.md", ROOT));
  const told = [...text.matchAll(/^\| `((?:mien|process)_\w+)`/gm)];
  const written = [];
  for (const name of ["metrics", "pipeline_metrics"]) {
    const url = new URL(`src/handlers/${name}.ts`, ROOT);
    const source = await Deno.readTextFile(url);
    written.push(...source.matchAll(/"((?:mien|process)_\w+)"/g));
  }
  const names = (found: RegExpExecArray[]) => found.map(([, name]) => name);
  assert.ok(told.length > 10);
  assert.deepEqual(names(told).sort(), names(written).sort());
});

for (const path of [...DOCS, "docs/monitoring.md", "README.md"]) {
  Deno.test(`${path} links to files that are there`, async () => {
    const text = await Deno.readTextFile(new URL(path, ROOT));
    for (const [, link] of text.matchAll(/\]\(([^)#:]+)\)/g)) {
      await Deno.stat(new URL(link!, new URL(path, ROOT)));
    }
  });
}
