import type { ReadModelFile } from "./manifest.ts";
import { readUrl } from "./read_url.ts";

/** The models that come with this package. */
export const MODELS_URL: URL = new URL("../../models/", import.meta.url);

/** Reads files below a base address: from disk for `file:`, else by fetch. */
export function readModelFiles(base: URL | string = MODELS_URL): ReadModelFile {
  return (file) => readUrl(new URL(file, base));
}
