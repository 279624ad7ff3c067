import assert from "node:assert/strict";
import { readOnnx } from "../../src/cli/onnx.ts";
import {
  tritonConfig,
  writeRepository,
} from "../../src/cli/triton_repository.ts";
import { sha256 } from "../../src/pipeline/manifest.ts";
import { models } from "../pipeline/support.ts";

async function withFolder(body: (folder: string) => Promise<void>) {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("tritonConfig() names every tensor with its sides, and room for every face of an image", () => {
  for (const spec of models.specs.filter(({ task }) => task === "expression")) {
    const config = tritonConfig(spec);
    for (const { name, shape } of [...spec.inputs, ...spec.outputs]) {
      const dims = shape!.slice(1).join(", ");
      assert.ok(
        config.includes(
          `{ name: "${name}" data_type: TYPE_FP32 dims: [ ${dims} ] }`,
        ),
        `${spec.name} ${name}`,
      );
    }
    const [, rows] = /max_batch_size: (\d+)/.exec(config)!;
    assert.ok(Number(rows) >= 100);
    assert.equal(config.split("{").length, config.split("}").length);
    assert.equal(config.split("[").length, config.split("]").length);
  }
});

Deno.test("tritonConfig() refuses a model whose input varies", () => {
  assert.throws(
    () => tritonConfig(models.get("face_detection_yunet")),
    /face_detection_yunet for Triton: its shape/,
  );
});

Deno.test("writeRepository() writes every expression model as the manifest has it", () =>
  withFolder(async (folder) => {
    const written = await writeRepository(models, folder);
    const specs = models.specs.filter(({ task }) => task === "expression");
    assert.equal(written.length, 2 * specs.length);
    for (const spec of specs) {
      const bytes = await Deno.readFile(`${folder}/${spec.name}/1/model.onnx`);
      assert.equal(await sha256(bytes), spec.sha256);
      assert.equal(
        await Deno.readTextFile(`${folder}/${spec.name}/config.pbtxt`),
        tritonConfig(spec),
      );
      const graph = readOnnx(bytes);
      for (const list of ["inputs", "outputs"] as const) {
        assert.deepEqual(
          graph[list].map(({ name, shape }) => [name, ...shape.slice(1)])
            .sort(),
          spec[list].map(({ name, shape }) => [name, ...shape!.slice(1)])
            .sort(),
          `${spec.name}: the graph's ${list}, which its configuration names`,
        );
      }
    }
  }));

Deno.test("writeRepository() refuses a precision there is none of, and writes nothing", () =>
  withFolder(async (folder) => {
    await assert.rejects(
      writeRepository(models, folder, { precision: "fp61" }),
      /fp61: it must be fp32, fp16, int8/,
    );
    assert.deepEqual([...Deno.readDirSync(folder)], []);
  }));

Deno.test("writeRepository() writes the models named, in the precision asked where there is one", () =>
  withFolder(async (folder) => {
    const spec = models.get("gender_mini_xception");
    const other = models.get("expression_mini_xception");
    const variant = {
      file: other.file!,
      sha256: other.sha256,
      precision: "fp16",
    };
    const store = Object.assign(Object.create(models), {
      get: () => ({ ...spec, variants: [variant] }),
      bytes: models.bytes.bind(models),
      file: models.file.bind(models),
    });
    for (
      const [precision, hash] of [
        ["fp16", other.sha256],
        ["int8", spec.sha256],
      ] as const
    ) {
      await writeRepository(store, folder, { names: [spec.name], precision });
      const bytes = await Deno.readFile(`${folder}/${spec.name}/1/model.onnx`);
      assert.equal(await sha256(bytes), hash);
    }
  }));
