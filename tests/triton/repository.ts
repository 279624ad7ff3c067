/**
 * A repository for Triton from the pip wheel, which has the Python backend only:
 *
 *     deno run -A tests/triton/repository.ts FOLDER
 *
 * The configurations are those of `deno task triton:repository`, but for the backend and the patience:
 * a busy CPU is no GPU.
 *
 * @module
 */
import { writeRepository } from "../../src/cli/triton_repository.ts";
import { ModelStore } from "../../src/pipeline/manifest.ts";
import { MODELS_URL, readModelFiles } from "../../src/pipeline/model_files.ts";

const folder = Deno.args[0]!;
const models = await ModelStore.open(readModelFiles(MODELS_URL));
// Triton's reference configuration is for fixed sides, which all but the detector's graph have.
const names = models.specs.filter(({ file, inputs }) =>
  file !== null &&
  inputs.every(({ shape }) => typeof shape.at(-1) === "number")
).map(({ name }) => name);
const written = await writeRepository(models, folder, { names });
for (const file of written.filter((file) => file.endsWith("config.pbtxt"))) {
  const config = `${folder}/${file}`;
  const text = await Deno.readTextFile(config);
  await Deno.writeTextFile(
    config,
    text.replace('backend: "onnxruntime"', 'backend: "python"')
      .replace(
        /(default_timeout_microseconds: )\d+/,
        (_, name) => `${name}10000000`,
      ),
  );
  await Deno.copyFile(
    new URL("model.py", import.meta.url),
    config.replace("config.pbtxt", "1/model.py"),
  );
}
