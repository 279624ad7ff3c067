/**
 * The package as it is published: `deno task package <folder>`. A copy of what `deno.json` names,
 * with the light set of models and a manifest that lists no other; run `deno publish` or
 * `deno pack` there.
 *
 * @module
 */
import { pathToFileURL } from "node:url";
import { DEFAULT_MODEL } from "../pipeline/defaults.ts";
import type { ModelSpec } from "../pipeline/manifest.ts";

const ROOT = new URL("../../", import.meta.url);

/** What is published beside the models. */
const PARTS = [
  "deno.json",
  "mod.ts",
  "src/handlers",
  "src/pipeline",
  "src/sdk",
  "src/types.ts",
  "src/version.ts",
  "LICENSE",
  "README.md",
  "CHANGELOG.md",
];

/** What every analysis needs: detector, landmark net and the model that `auto` means. */
export function lightSet(specs: readonly ModelSpec[]): ModelSpec[] {
  const tasks = ["faceDetection", "faceLandmarks"];
  return specs.filter(({ task, name }) =>
    tasks.includes(task) || name === DEFAULT_MODEL
  );
}

/** Writes the package into a folder that is empty or not there. */
export async function writePackage(folder: URL): Promise<void> {
  for (const part of PARTS) {
    await copy(new URL(part, ROOT), new URL(part, folder));
  }
  const manifest = new URL("models/manifest.json", ROOT);
  const specs = lightSet(JSON.parse(await Deno.readTextFile(manifest)));
  for (const spec of specs) {
    const files = [
      `${spec.name}/README.md`,
      `${spec.name}/LICENSE`,
      ...[spec, ...Object.values(spec.graphs ?? {})].map(({ file }) => file!),
    ];
    for (const file of files) {
      const from = new URL(`models/${file}`, ROOT);
      if (await exists(from)) {
        await copy(from, new URL(`models/${file}`, folder));
      }
    }
  }
  await Deno.writeTextFile(
    new URL("models/manifest.json", folder),
    JSON.stringify(specs, null, 2) + "\n",
  );
}

async function copy(from: URL, to: URL): Promise<void> {
  if ((await Deno.stat(from)).isDirectory) {
    for await (const { name } of Deno.readDir(from)) {
      await copy(
        new URL(`${from.href}/${name}`),
        new URL(`${to.href}/${name}`),
      );
    }
    return;
  }
  await Deno.mkdir(new URL("./", to), { recursive: true });
  await Deno.copyFile(from, to);
}

async function exists(url: URL): Promise<boolean> {
  return await Deno.stat(url).then(() => true, () => false);
}

if (import.meta.main) {
  const [folder] = Deno.args;
  if (!folder) {
    console.error("Cannot write the package: name a folder that is empty");
    Deno.exit(2);
  }
  await writePackage(pathToFileURL(`${folder}/`));
}
