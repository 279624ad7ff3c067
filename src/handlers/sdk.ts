import { readUrl } from "../pipeline/read_url.ts";
import { RequestError } from "./problem.ts";

/** What `deno task bundle` writes, by the type a browser wants to see. */
const TYPES: Record<string, string> = {
  js: "text/javascript; charset=utf-8",
  mjs: "text/javascript; charset=utf-8",
  wasm: "application/wasm",
  bin: "application/octet-stream",
};

const FOLDER = new URL("../../dist/sdk/", import.meta.url);

const NAMES = [
  "client.js",
  "preprocess.js",
  "local.js",
  "ort.js",
  "ort-wasm-simd-threaded.mjs",
  "ort-wasm-simd-threaded.wasm",
  "codecs/jpeg.bin",
  "codecs/png.bin",
  "codecs/webp.bin",
] as const;

/** Paths of the SDK's files. */
export const SDK_PATHS: readonly string[] = NAMES.map((name) => `/sdk/${name}`);

/** `GET /sdk/…`: the SDK, its codecs and ONNX Runtime, for pages without a bundler. */
export async function sdkFile(
  path: string,
  request: Request,
): Promise<Response> {
  const name = path.slice("/sdk/".length);
  const headers = new Headers({
    "content-type": TYPES[name.split(".").at(-1)!]!,
    "cache-control": "public, max-age=3600",
    vary: "accept-encoding",
  });
  const accepts = request.headers.get("accept-encoding") ?? "";
  if (name.endsWith(".wasm") && /\bgzip\b/.test(accepts)) {
    const packed = await find(`${name}.gz`);
    if (packed) {
      headers.set("content-encoding", "gzip");
      return new Response(packed, { headers });
    }
  }
  const bytes = await find(name);
  if (bytes) return new Response(bytes, { headers });
  throw new RequestError(
    "not_found",
    `The SDK's ${name} has not been built here: run deno task bundle, then ask again`,
  );
}

async function find(
  name: string,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  return await readUrl(new URL(name, FOLDER)).catch(() => undefined);
}
