import { analyze, currentKey, RequestError, toOptions } from "./api.js";
import { snapshot } from "./camera.js";
import { analyzeHere } from "./offline.js";

/**
 * @typedef {import("./api.js").Answer} Answer
 * @typedef {import("./api.js").Wanted} Wanted
 */

const CLIENT = new URL("../sdk/client.js", import.meta.url);
/** Longest side of a frame that is sent. */
const SIDE = 640;

/**
 * Answers for what a video shows, one after another until the signal ends them.
 *
 * @param {HTMLVideoElement} video
 * @param {Wanted} wanted
 * @param {AbortSignal} signal
 * @param {import("./offline.js").Offline} [offline] Analyses in this page; without it the server does.
 * @returns {AsyncGenerator<Answer, void, undefined>}
 */
export function follow(video, wanted, signal, offline) {
  if (offline) return here(video, wanted, signal, offline);
  // A stream has no place for a neutral face: frames go as photos then.
  return wanted.units && wanted.neutral
    ? photos(video, wanted, signal)
    : streamed(video, wanted, signal);
}

/**
 * @param {HTMLVideoElement} video
 * @param {Wanted} wanted
 * @param {AbortSignal} signal
 * @param {import("./offline.js").Offline} offline
 */
async function* here(video, wanted, signal, { analyzer, smooth }) {
  /** @type {import("../../sdk/local.ts").SmoothState | undefined} */
  let state;
  const { minConfidence } = wanted;
  while (!signal.aborted) {
    const timestampMs = performance.now();
    const answer = await analyzeHere(analyzer, video, wanted, signal);
    const steady = smooth(answer.analysis.faces, {
      timestampMs,
      minConfidence,
      ...state ? { state } : {},
    });
    state = steady.state;
    answer.analysis.faces = steady.faces;
    yield answer;
    await new Promise(requestAnimationFrame);
  }
}

/**
 * @param {HTMLVideoElement} video
 * @param {Wanted} wanted
 * @param {AbortSignal} signal
 */
async function* photos(video, wanted, signal) {
  while (!signal.aborted) {
    yield await analyze(await snapshot(video), wanted, signal);
  }
}

/**
 * @param {HTMLVideoElement} video
 * @param {Wanted} wanted
 * @param {AbortSignal} signal
 */
async function* streamed(video, wanted, signal) {
  const { Mien } = await import(CLIENT.href);
  const key = currentKey();
  const mien = new Mien({
    endpoint: new URL("../", import.meta.url),
    ...key ? { apiKey: key } : {},
  });
  let asked = performance.now();
  try {
    const options = { ...toOptions(wanted), maxSide: SIDE, signal };
    for await (const analysis of mien.stream(video, options)) {
      const roundTripMs = performance.now() - asked;
      asked = performance.now();
      yield { analysis, roundTripMs };
    }
  } catch (error) {
    if (signal.aborted || !(error instanceof Error)) throw error;
    const { status, code, requestId } = /** @type {RequestError} */ (error);
    throw new RequestError(error.message, {
      title: "The webcam's pictures were not analysed",
      status,
      code,
      requestId,
    });
  }
}
