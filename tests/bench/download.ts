import type { Bench, Findings } from "./section.ts";
import { table } from "./report.ts";
import type { ModelSpec } from "../../src/pipeline/manifest.ts";

const ROOT = new URL("../../", import.meta.url);

/** What `deno task start` needs on disk: packages as installed, and models. */
export async function download(_bench: Bench): Promise<Findings> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "src/handlers/main.ts"],
    cwd: ROOT,
    stderr: "inherit",
  }).output();
  const { npmPackages } = JSON.parse(new TextDecoder().decode(stdout)) as {
    npmPackages: Record<string, { name: string; version: string }>;
  };
  const packages = await Promise.all(
    Object.values(npmPackages).map(async ({ name, version }) => {
      const folder = `${name.replaceAll("/", "+")}@${version}`;
      const at = new URL(
        `node_modules/.deno/${folder}/node_modules/${name}/`,
        ROOT,
      );
      // A package for another platform is listed and not installed.
      const there = await Deno.stat(at).then(() => true, () => false);
      return {
        name: `${name} ${version}`,
        bytes: there ? await size(at) : 0,
      };
    }),
  ).then((all) => all.filter(({ bytes }) => bytes > 0));
  const manifest = new URL("models/manifest.json", ROOT);
  const models = (JSON.parse(await Deno.readTextFile(manifest)) as ModelSpec[])
    .map(({ name, bytes }) => ({ name, bytes }));
  const sum = (items: { bytes: number }[]) =>
    items.reduce((total, { bytes }) => total + bytes, 0);
  const rows = [...packages.sort((a, b) => b.bytes - a.bytes), ...models];
  const mb = (bytes: number) => (bytes / 1e6).toFixed(2);
  return {
    title: "Bytes on disk",
    markdown: table(["package (unpacked) or model", "MB"], [
      ...rows.map(({ name, bytes }) => [name, mb(bytes)]),
      ["**packages**", mb(sum(packages))],
      ["**models**", mb(sum(models))],
    ]),
    figures: {
      "packages MB": sum(packages) / 1e6,
      "models MB": sum(models) / 1e6,
    },
    data: { packages, models },
  };
}

async function size(folder: URL): Promise<number> {
  let total = 0;
  for await (const entry of Deno.readDir(folder)) {
    const name = encodeURIComponent(entry.name);
    if (entry.isDirectory) total += await size(new URL(`${name}/`, folder));
    else total += (await Deno.stat(new URL(name, folder))).size;
  }
  return total;
}
