import { ModelStore, type Pipeline } from "../../src/pipeline/mod.ts";
import { readModelFiles } from "../../src/pipeline/model_files.ts";
import { resolveOptions, withNeutral } from "../../src/pipeline/options.ts";
import type { Analysis, AnalyzeOptions } from "../../src/types.ts";

const MODEL = "expression_mini_xception";
const models = await ModelStore.open(readModelFiles());

/** What a fake pipeline was asked. */
export interface Call {
  bytes: Uint8Array;
  options: AnalyzeOptions;
  neutral: Uint8Array | undefined;
  requestId: string | undefined;
  deadlineMs: number | undefined;
}

/** A pipeline that checks options as the real one does, looks at no image and finds no face. */
export function fakePipeline(
  overrides: Partial<Pipeline> = {},
): Pipeline & { calls: Call[] } {
  const calls: Call[] = [];
  return {
    calls,
    models,
    model: MODEL,
    ready: Promise.resolve(),
    state: undefined,
    // deno-lint-ignore require-await
    async analyze(bytes, options = {}, call = {}): Promise<Analysis> {
      const { requestId, deadlineMs, neutral } = call;
      calls.push({ bytes, options, neutral, requestId, deadlineMs });
      withNeutral(resolveOptions(options, models, MODEL), neutral);
      return {
        requestId: requestId ?? "",
        image: { width: 64, height: 48, orientation: 1, type: "image/jpeg" },
        faces: [],
        timing: {
          decodeMs: 1,
          detectMs: 2,
          alignMs: 0,
          classifyMs: 0,
          explainMs: 0,
          remoteMs: 0,
          queueMs: 0.25,
          totalMs: 3.25,
        },
      };
    },
    run: () => Promise.reject(new Error("the fake pipeline runs no model")),
    close: () => Promise.resolve(),
    ...overrides,
  };
}
