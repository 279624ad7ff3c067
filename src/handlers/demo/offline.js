import { currentKey, toOptions } from "./api.js";

/**
 * @typedef {import("../../sdk/local.ts").Analyzer} Analyzer
 * @typedef {import("../../sdk/local.ts").SmoothState} SmoothState
 * @typedef {{ analyzer: Analyzer, smooth: typeof import("../../sdk/local.ts").smooth }} Offline
 */

/** The SDK beside this page. */
const SDK = new URL("../sdk/", import.meta.url);

/** @type {Promise<Offline> | undefined} */
let loading;

/**
 * The engine in this page, with the weights of this server; fetched when first asked for.
 *
 * @param {(bytes: number) => void} onBytes Told how many bytes of weights have come so far.
 * @returns {Promise<Offline>}
 */
export function loadOffline(onBytes) {
  loading ??= start(onBytes).catch((error) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

/**
 * @param {(bytes: number) => void} onBytes
 * @returns {Promise<Offline>}
 */
async function start(onBytes) {
  const [ort, { createAnalyzer, smooth }] = await Promise.all([
    import(new URL("ort.js", SDK).href),
    import(new URL("local.js", SDK).href),
  ]);
  /** @type {Map<string, number>} */
  const loaded = new Map();
  const key = currentKey();
  const analyzer = await createAnalyzer({
    ort,
    formats: ["jpeg", "png", "webp"],
    models: {
      server: new URL("../", import.meta.url),
      ...key ? { apiKey: key } : {},
    },
    /** @param {{ file: string, loaded: number }} progress */
    onProgress: (progress) => {
      loaded.set(progress.file, progress.loaded);
      onBytes([...loaded.values()].reduce((sum, bytes) => sum + bytes, 0));
    },
  });
  return { analyzer, smooth };
}

/**
 * Analyses a picture or a video's newest frame here; shaped as the server's answer.
 *
 * @param {Analyzer} analyzer
 * @param {Blob | HTMLVideoElement} picture
 * @param {import("./api.js").Wanted} wanted
 * @param {AbortSignal} signal
 * @returns {Promise<import("./api.js").Answer>}
 */
export async function analyzeHere(analyzer, picture, wanted, signal) {
  const start = performance.now();
  const options = /** @type {import("../../types.ts").AnalyzeOptions} */ (
    toOptions({ ...wanted, units: false })
  );
  const analysis = await analyzer.analyze(picture, { ...options, signal });
  return { analysis, roundTripMs: performance.now() - start };
}
