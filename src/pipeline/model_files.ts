import type { ReadModelFile } from "./manifest.ts";

/** The models that come with this package. */
export const MODELS_URL: URL = new URL("../../models/", import.meta.url);

/** Reads files below a base address: from disk for `file:`, else by fetch. */
export function readModelFiles(base: URL | string = MODELS_URL): ReadModelFile {
  return async (file) => {
    const url = new URL(file, base);
    if (url.protocol === "file:") return await Deno.readFile(url);
    const response = await fetch(url);
    if (!response.ok) {
      throw new Error(`Cannot fetch ${file}: status ${response.status}`);
    }
    return new Uint8Array(await response.arrayBuffer());
  };
}
