import {
  type ModelSpec,
  type ReadModelFile,
  sha256,
} from "../pipeline/manifest.ts";
import { MODELS_URL } from "../pipeline/model_files.ts";
import { readUrl } from "../pipeline/read_url.ts";
import { ConnectionError } from "./errors.ts";

/** Where `manifest.json` and the weights come from. */
export type ModelSource =
  /** A folder laid out as `models/` is. */
  | string
  | URL
  /** A Mien server. */
  | { server: string | URL; apiKey?: string }
  /** Bytes by file name, `manifest.json` among them. */
  | { files: Record<string, Uint8Array> }
  /** One's own way. */
  | ReadModelFile;

/** How far a download is. */
export interface Progress {
  /** The file, relative to `models/`. */
  file: string;
  /** Bytes received. */
  loaded: number;
  /** Bytes in all, as far as that is known. */
  total: number | undefined;
}

/** How weights are fetched. */
export interface WeightOptions {
  /** Whether what was fetched is kept for the next visit, where there is a Cache API. @default {true} */
  cache?: boolean;
  /** Told of every piece that arrives. */
  onProgress?: (progress: Progress) => void;
  /** Ends a download. */
  signal?: AbortSignal;
}

/** The Cache API's store, and the addresses under which it keeps: they lead nowhere. */
const STORE = "mien-models";
const KEYS = "https://models.mien.invalid/";

/**
 * Makes a reader of a source. Files with a hash are looked for in the store first, and fetched
 * again where what lies there is not what the hash says; the manifest is fetched first, and taken
 * from the store where there is no connection.
 */
export function readWeights(
  source: ModelSource = MODELS_URL,
  options: WeightOptions = {},
): ReadModelFile {
  if (typeof source === "function") return source;
  if (typeof source === "object" && "files" in source) {
    return (file) => fromFiles(source.files, file);
  }
  const server = typeof source === "object" && "server" in source;
  const headers: Record<string, string> = server && source.apiKey
    ? { authorization: `Bearer ${source.apiKey}` }
    : {};
  const address = server ? onServer(source.server) : inFolder(source);
  let specs: ModelSpec[] = [];

  return async (file, hash) => {
    const url = address(file, specs);
    const store = url.protocol === "file:" || options.cache === false
      ? undefined
      : await openStore();
    const key = KEYS + (hash ?? encodeURIComponent(url.href));
    const total = specs.find((spec) => spec.file === file)?.bytes;
    if (hash) {
      const kept = await lookUp(store, key);
      if (kept && await sha256(kept) === hash) {
        options.onProgress?.({ file, loaded: kept.length, total });
        return kept;
      }
    }
    let bytes: Uint8Array<ArrayBuffer>;
    try {
      bytes = await download(url, { ...options, file, total, headers });
      // A full disk, or a page that may keep nothing, is no reason to fail.
      await store?.put(key, new Response(bytes)).catch(() => {});
    } catch (error) {
      options.signal?.throwIfAborted();
      const kept = hash ? undefined : await lookUp(store, key);
      if (!kept) throw error;
      bytes = kept;
    }
    if (file === "manifest.json") {
      specs = JSON.parse(new TextDecoder().decode(bytes));
    }
    return bytes;
  };
}

/** Finds a file's address; the entries are empty until the manifest has been read. */
type Address = (file: string, specs: readonly ModelSpec[]) => URL;

function inFolder(folder: string | URL): Address {
  const base = withSlash(folder);
  return (file) => new URL(file, base);
}

function onServer(server: string | URL): Address {
  const base = withSlash(server);
  return (file, specs) => {
    if (file === "manifest.json") return new URL("v1/models", base);
    const owner = specs.find((spec) =>
      [spec, ...Object.values(spec.graphs ?? {})].some((has) =>
        has.file === file
      )
    );
    const name = file.split("/").at(-1);
    return new URL(`v1/models/${owner?.name}/files/${name}`, base);
  };
}

/** An address that others can be resolved against; in a page, relative to it. */
function withSlash(address: string | URL): URL {
  const url = new URL(address, globalThis.location?.href || undefined);
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url;
}

// deno-lint-ignore require-await
async function fromFiles(
  files: Record<string, Uint8Array>,
  file: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = files[file];
  if (bytes) return new Uint8Array(bytes);
  throw new RangeError(`Cannot find ${file} among the files given`);
}

/** The store, or undefined where there is none: in Node, and in pages without TLS. */
async function openStore(): Promise<Cache | undefined> {
  return await globalThis.caches?.open(STORE).catch(() => undefined);
}

async function lookUp(
  store: Cache | undefined,
  key: string,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const kept = await store?.match(key).catch(() => undefined);
  return kept && new Uint8Array(await kept.arrayBuffer());
}

async function download(
  url: URL,
  { file, total, headers, signal, onProgress }: WeightOptions & {
    file: string;
    total: number | undefined;
    headers: Record<string, string>;
  },
): Promise<Uint8Array<ArrayBuffer>> {
  if (url.protocol === "file:") {
    const bytes = await readUrl(url);
    onProgress?.({ file, loaded: bytes.length, total });
    return bytes;
  }
  try {
    const response = await fetch(url, {
      headers,
      ...(signal ? { signal } : {}),
    });
    if (!response.ok) throw new Error(`status ${response.status}`);
    let loaded = 0;
    const counter = new TransformStream<Uint8Array, Uint8Array>({
      transform(piece, controller) {
        onProgress?.({ file, loaded: loaded += piece.length, total });
        controller.enqueue(piece);
      },
    });
    const body = response.body!.pipeThrough(counter);
    return new Uint8Array(await new Response(body).arrayBuffer());
  } catch (cause) {
    signal?.throwIfAborted();
    throw new ConnectionError(
      "connection_failed",
      `Cannot fetch ${url.href}: check the address of the models and the connection`,
      { cause },
    );
  }
}
