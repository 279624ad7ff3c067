import type { Tensor } from "./postprocess.ts";

/** Something that runs models: WASM here, later a GPU server. */
export interface Backend {
  /** Loads a model ahead of its first run. Loading twice is one load. */
  load(model: string): Promise<void>;
  /**
   * Runs a model.
   *
   * @param model A name in the manifest, or `name#graph` for one of its further graphs.
   * @param feeds Input tensors by name; the first axis is the batch.
   * @param options `outputs` limits what is computed and returned (default: all).
   */
  run(
    model: string,
    feeds: Record<string, Tensor>,
    options?: { outputs?: readonly string[]; signal?: AbortSignal },
  ): Promise<Record<string, Tensor>>;
  /** Frees every session. */
  close(): Promise<void>;
}
