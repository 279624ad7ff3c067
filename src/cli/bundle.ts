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

/** ONNX Runtime's wasm build: its module, what that loads in pages of other origins, and its wasm. */
const ORT: [file: string, as: string][] = [
  ["ort.wasm.bundle.min.mjs", "ort.js"],
  ["ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.mjs"],
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

async function main(folder: URL): Promise<void> {
  await Deno.mkdir(new URL("codecs/", folder), { recursive: true });
  for (const entry of ENTRIES) {
    await put(new URL(`${entry}.js`, folder), await bundle(entry));
  }
  for (const name of ["jpeg", "png", "webp"]) {
    const file = `codecs/${name}.bin`;
    const bytes = await Deno.readFile(new URL(`src/pipeline/${file}`, ROOT));
    await put(new URL(file, folder), bytes);
  }
  const runtime = new URL(
    import.meta.resolve("onnxruntime-web/ort-wasm-simd-threaded.wasm"),
  );
  for (const [file, as] of ORT) {
    const to = new URL(as, folder);
    const bytes = await Deno.readFile(new URL(file, runtime));
    const fresh = await put(to, bytes);
    if (fresh && as.endsWith(".wasm")) {
      await put(new URL(`${to.href}.gz`), await gzip(bytes));
    }
  }
}

/** Writes a file that is not there as it is, at one stroke: a server may be reading it. */
async function put(to: URL, bytes: Uint8Array): Promise<boolean> {
  const there = await Deno.readFile(to).catch(() => undefined);
  const same = there?.length === bytes.length &&
    there.every((byte, i) => byte === bytes[i]);
  if (same) return false;
  const draft = new URL(`${to.href}.${Deno.pid}`);
  await Deno.writeFile(draft, bytes);
  await Deno.rename(draft, to);
  return true;
}

/** Bytes as a web server packs them. */
export async function gzip(
  bytes: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array> {
  const stream = new Blob([bytes]).stream().pipeThrough(
    new CompressionStream("gzip"),
  );
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

if (import.meta.main) {
  const given = Deno.args[0];
  const { pathToFileURL } = await import("node:url");
  await main(
    given ? pathToFileURL(`${given}/`) : new URL("dist/sdk/", ROOT),
  );
  await stop();
}
