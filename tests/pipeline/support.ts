import type { RawImage } from "../../src/pipeline/image.ts";
import { ModelStore } from "../../src/pipeline/manifest.ts";
import { readModelFiles } from "../../src/pipeline/model_files.ts";
import { createWasmBackend } from "../../src/pipeline/wasm.ts";
import type { Backend } from "../../src/pipeline/backend.ts";

/** The models of this repository. */
export const models: ModelStore = await ModelStore.open(readModelFiles());

/** Runs a test body with a WASM backend that is closed afterwards. */
export async function withBackend(
  body: (backend: Backend) => Promise<void>,
): Promise<void> {
  const backend = createWasmBackend(models);
  try {
    await body(backend);
  } finally {
    await backend.close();
  }
}

/** The picture the golden files are made from: a formula, so that nothing need be stored. */
export function formulaPicture(width: number, height: number): RawImage {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++, i++) {
        const wave = Math.sin(0.13 * x * (c + 1) + 0.07 * y * (3 - c));
        data[i] = Math.min(
          255,
          Math.max(0, Math.floor(127.5 + 127.5 * wave + 0.5)),
        );
      }
    }
  }
  return { data, width, height, channels: 3 };
}

/** A golden file under the repository's root, of the shape the caller expects. */
export async function golden<Shape>(path: string): Promise<Shape> {
  return JSON.parse(
    await Deno.readTextFile(new URL(`../../${path}`, import.meta.url)),
  );
}

/** A fixture picture's bytes. */
export async function fixture(name: string): Promise<Uint8Array<ArrayBuffer>> {
  return await Deno.readFile(
    new URL(`../testdata/images/${name}`, import.meta.url),
  );
}

/** A seeded generator of numbers in 0 to 1. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
