import assert from "node:assert/strict";
import { models } from "./pipeline/support.ts";

const readme = await Deno.readTextFile(
  new URL("../README.md", import.meta.url),
);
const config = JSON.parse(
  await Deno.readTextFile(new URL("../deno.json", import.meta.url)),
);

Deno.test("README names every model with the figures of the manifest", () => {
  for (const spec of models.specs) {
    const row = readme.split("\n").find((line) =>
      line.startsWith(`| [${spec.name}]`)
    );
    assert.ok(row, `no row for ${spec.name}`);
    const size = `${Math.round(spec.bytes / 1000)} kB`;
    assert.ok(row.includes(size), `${spec.name}: the size is ${size}`);
    if (spec.task !== "expression") continue;
    for (const { data, accuracy } of spec.metrics!) {
      const [set] = data.split(" ");
      const shown = Number(row.match(`${set} ([0-9.]+) %`)?.[1]);
      const measured = (accuracy as number) * 100; // a tie may be rounded either way
      assert.ok(
        Math.abs(shown - measured) < 0.05 + 1e-9,
        `${spec.name}: ${set} ${measured} %`,
      );
    }
  }
});

Deno.test("README's tasks exist", () => {
  for (const [, task] of readme.matchAll(/deno task ([a-z:]+)/g)) {
    assert.ok(task! in config.tasks, task!);
  }
});

Deno.test("the package's version stands in version.ts as in deno.json", async () => {
  const { VERSION } = await import("../src/version.ts");
  assert.equal(VERSION, config.version);
});
