import { parseArgs } from "node:util";
import { type ModelSpec, ModelStore } from "../pipeline/mod.ts";
import { MODELS_URL, readModelFiles } from "../pipeline/model_files.ts";

/** Rows of a batch at most: an image may have 100 faces, and all of them go at once. */
const MAX_BATCH = 128;

/** Variants that a manifest may have. */
const PRECISIONS = ["fp32", "fp16", "int8"];

const USAGE =
  `Usage: deno task triton:repository <dir> [model...] [--precision fp16]

Writes a model repository for Triton Inference Server: by default every expression model
that has a file. --precision takes that variant of the weights where a model has one.`;

/**
 * A model's `config.pbtxt`: ONNX Runtime on a GPU where there is one, batches gathered for at most
 * 2 ms, a short queue that refuses rather than keeps waiting, and warm kernels before it is ready.
 *
 * @throws {RangeError} when a tensor has another open axis than its batch
 */
export function tritonConfig(spec: ModelSpec): string {
  const list = (
    tensors: readonly { name: string; shape?: readonly (number | string)[] }[],
  ) =>
    tensors.map(({ name, shape = [] }) =>
      `  { name: "${name}" data_type: TYPE_FP32 dims: [ ${
        sides(spec, shape)
      } ] }`
    ).join(",\n");
  const warm = (rows: number) =>
    `  {\n    name: "${rows}"\n    batch_size: ${rows}\n${
      spec.inputs.map(({ name, shape }) =>
        `    inputs { key: "${name}" value: { data_type: TYPE_FP32 dims: [ ${
          sides(spec, shape)
        } ] zero_data: true } }`
      ).join("\n")
    }\n  }`;
  return `name: "${spec.name}"
backend: "onnxruntime"
max_batch_size: ${MAX_BATCH}
input [
${list(spec.inputs)}
]
output [
${list(spec.outputs)}
]
dynamic_batching {
  preferred_batch_size: [ 4, 16, ${MAX_BATCH} ]
  max_queue_delay_microseconds: 2000
  default_queue_policy {
    timeout_action: REJECT
    default_timeout_microseconds: 500000
    max_queue_size: 64
  }
}
model_warmup [
${[1, 16].map(warm).join(",\n")}
]
`;
}

/** A tensor's sides without its batch. */
function sides(spec: ModelSpec, shape: readonly (number | string)[]): string {
  const rest = shape.slice(1);
  if (rest.length > 0 && rest.every((side) => typeof side === "number")) {
    return rest.join(", ");
  }
  throw new RangeError(
    `Cannot write ${spec.name} for Triton: its shape [${shape}] varies beyond the batch`,
  );
}

/**
 * Writes models into a repository's folder, which is made where it is missing.
 *
 * @returns The files written, relative to the folder.
 * @throws {RangeError} when a name or precision is unknown, or a model has no file or varying shapes
 */
export async function writeRepository(
  models: ModelStore,
  folder: string,
  { names, precision }: { names?: readonly string[]; precision?: string } = {},
): Promise<string[]> {
  const specs = names
    ? names.map((name) => models.get(name))
    : models.specs.filter(({ task, file }) =>
      task === "expression" && file !== null
    );
  if (precision !== undefined && !PRECISIONS.includes(precision)) {
    throw new RangeError(
      `Cannot write weights in ${precision}: it must be ${
        PRECISIONS.join(", ")
      }`,
    );
  }
  const written: string[] = [];
  for (const spec of specs) {
    const config = tritonConfig(spec);
    const variant = spec.variants?.find((file) => file.precision === precision);
    const bytes = variant
      ? await models.file(variant.file, variant.sha256)
      : await models.bytes(spec.name);
    await Deno.mkdir(`${folder}/${spec.name}/1`, { recursive: true });
    await Deno.writeFile(`${folder}/${spec.name}/1/model.onnx`, bytes);
    await Deno.writeTextFile(`${folder}/${spec.name}/config.pbtxt`, config);
    written.push(`${spec.name}/1/model.onnx`, `${spec.name}/config.pbtxt`);
  }
  return written;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    args: Deno.args,
    allowPositionals: true,
    options: { precision: { type: "string" }, help: { type: "boolean" } },
  });
  const [folder, ...names] = positionals;
  if (values.help || !folder) {
    console.log(USAGE);
    if (!values.help) Deno.exit(2);
    return;
  }
  const models = await ModelStore.open(readModelFiles(MODELS_URL));
  const written = await writeRepository(models, folder, {
    ...(names.length > 0 ? { names } : {}),
    ...(values.precision ? { precision: values.precision } : {}),
  });
  for (const file of written) console.log(`${folder}/${file}`);
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof TypeError)) {
      throw error;
    }
    console.error(error.message);
    Deno.exit(1);
  }
}
