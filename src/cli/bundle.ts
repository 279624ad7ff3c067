/**
 * The SDK as JavaScript for pages without a bundler, with the codecs and ONNX Runtime beside it:
 * `deno task bundle [folder]`. The server hands out what lies in `dist/sdk` below `/sdk/`; the
 * folder can as well be put on any other web server.
 *
 * @module
 */
import { build, stop } from "esbuild";
import { fileURLToPath } from "node:url";

const ROOT = new URL("../../", import.meta.url);

/** The SDK's entries, each a file of its own. */
export const ENTRIES = ["client", "preprocess", "local"] as const;

/** ONNX Runtime's wasm build: its module and what that loads from beside itself. */
const ORT: [file: string, as: string][] = [
  ["ort.wasm.bundle.min.mjs", "ort.js"],
  ["ort-wasm-simd-threaded.wasm", "ort-wasm-simd-threaded.wasm"],
];

/** One entry, minified, with all it needs; the codecs stay files of their own. */
export async function bundle(
  entry: typeof ENTRIES[number],
): Promise<Uint8Array<ArrayBuffer>> {
  const { outputFiles } = await build({
    absWorkingDir: fileURLToPath(ROOT),
    entryPoints: [`src/sdk/${entry}.ts`],
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    legalComments: "none",
    write: false,
  });
  return new Uint8Array(outputFiles[0]!.contents);
}

/** Writes everything that does not lie there already. */
async function main(folder: URL): Promise<void> {
  await Deno.mkdir(new URL("codecs/", folder), { recursive: true });
  for (const entry of ENTRIES) {
    await Deno.writeFile(new URL(`${entry}.js`, folder), await bundle(entry));
  }
  for (const name of ["jpeg", "png", "webp"]) {
    const file = `codecs/${name}.bin`;
    await Deno.copyFile(
      new URL(`src/pipeline/${file}`, ROOT),
      new URL(file, folder),
    );
  }
  const runtime = new URL(
    import.meta.resolve("onnxruntime-web/ort-wasm-simd-threaded.wasm"),
  );
  for (const [file, as] of ORT) {
    const to = new URL(as, folder);
    const bytes = await Deno.readFile(new URL(file, runtime));
    const there = await Deno.stat(to).catch(() => undefined);
    if (there?.size === bytes.length) continue;
    await Deno.writeFile(to, bytes);
    if (as.endsWith(".wasm")) await writeGzipped(bytes, to);
  }
}

async function writeGzipped(
  bytes: Uint8Array<ArrayBuffer>,
  to: URL,
): Promise<void> {
  const stream = new Blob([bytes]).stream().pipeThrough(
    new CompressionStream("gzip"),
  );
  await Deno.writeFile(new URL(`${to.href}.gz`), stream);
}

if (import.meta.main) {
  const given = Deno.args[0];
  const { pathToFileURL } = await import("node:url");
  await main(
    given ? pathToFileURL(`${given}/`) : new URL("dist/sdk/", ROOT),
  );
  await stop();
}
