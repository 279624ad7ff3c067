import { type ModelSpec, ModelStore } from "../pipeline/mod.ts";
import { MODELS_URL, readModelFiles } from "../pipeline/model_files.ts";
import { readOnnx } from "./onnx.ts";

/**
 * Compares a model's files with its manifest entry.
 *
 * @returns What differs; empty when all is well.
 */
export async function verifyModel(
  models: ModelStore,
  spec: ModelSpec,
): Promise<string[]> {
  const problems: string[] = [];
  const others = [
    ...Object.values(spec.graphs ?? {}),
    ...(spec.variants ?? []),
  ];
  for (const { file, sha256 } of others) {
    await models.file(file, sha256).catch((error) =>
      problems.push(error.message)
    );
  }
  if (spec.file === null) return problems;
  let bytes: Uint8Array;
  try {
    bytes = await models.bytes(spec.name);
  } catch (error) {
    return [...problems, (error as Error).message];
  }
  if (bytes.length !== spec.bytes) {
    problems.push(`${bytes.length} bytes, not ${spec.bytes}`);
  }
  const facts = readOnnx(bytes);
  if (facts.opset !== spec.opset) {
    problems.push(`opset ${facts.opset}, not ${spec.opset}`);
  }
  for (const kind of ["inputs", "outputs"] as const) {
    const [wanted, found] = [spec[kind], facts[kind]];
    const names = (list: { name: string }[]) =>
      list.map(({ name }) => name).sort().join(", ");
    if (names(wanted) !== names(found)) {
      problems.push(`${kind} ${names(found)}, not ${names(wanted)}`);
    }
    for (const { name, shape } of wanted) {
      const real = found.find((value) => value.name === name)?.shape;
      if (shape && real && !sameShape(shape, real)) {
        problems.push(`${name} has shape [${real}], not [${shape}]`);
      }
    }
  }
  return problems;
}

/** Numbers must agree; a named axis may have any name. */
function sameShape(
  wanted: readonly (number | string)[],
  real: readonly (number | string)[],
) {
  return wanted.length === real.length &&
    wanted.every((side, i) =>
      typeof side === "string" ? typeof real[i] === "string" : side === real[i]
    );
}

if (import.meta.main) {
  const models = await ModelStore.open(readModelFiles(MODELS_URL));
  let failed = 0;
  for (const spec of models.specs) {
    const problems = await verifyModel(models, spec);
    failed += problems.length;
    console.log(
      `${problems.length ? "FAIL" : "ok  "} ${spec.name} ${spec.version}`,
    );
    for (const problem of problems) console.log(`     ${problem}`);
  }
  if (failed > 0) Deno.exit(1);
}
