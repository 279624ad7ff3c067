/**
 * @typedef {import("../../types.ts").Analysis} Analysis
 * @typedef {import("../../types.ts").Problem} Problem
 * @typedef {{ name: string, task: string, system?: string, explanations?: string[] }} Model
 * @typedef {object} Wanted
 * @property {string} model
 * @property {number} minConfidence 0 to 1
 * @property {boolean} landmarks
 * @property {boolean} quality
 * @property {boolean} heatmap
 * @property {boolean} [units] Action units too
 * @property {Blob} [neutral] The same person's relaxed face, which they are read against
 * @typedef {{ analysis: Analysis, roundTripMs: number }} Answer
 */

/** A request that was refused or did not arrive; the message is fit to be read by people. */
export class RequestError extends Error {
  /**
   * @param {string} message
   * @param {{ title?: string, status?: number, code?: string, requestId?: string }} [facts]
   */
  constructor(message, facts = {}) {
    super(message);
    this.title = facts.title ?? "No answer";
    this.status = facts.status ?? 0;
    this.code = facts.code ?? "";
    this.requestId = facts.requestId ?? "";
  }
}

/** The API key, in this page's memory only. */
let key = "";

/** @param {string} value */
export function useKey(value) {
  key = value.trim();
}

/** The key in use, for what asks the server without this file. */
export function currentKey() {
  return key;
}

/**
 * The models on offer.
 *
 * @returns {Promise<Model[]>}
 */
export async function fetchModels() {
  return await (await send("v1/models", {})).json();
}

/**
 * What is asked, in the contract's names.
 *
 * @param {Wanted} wanted
 */
export function toOptions(wanted) {
  const shown = {
    landmarks: wanted.landmarks,
    quality: wanted.quality,
    actionUnits: wanted.units,
  };
  const chosen = Object.entries(shown).filter(([, on]) => on).map(([name]) =>
    name
  );
  return {
    attributes: ["expression", ...chosen],
    explain: wanted.heatmap ? "evidence" : "none",
    model: wanted.model,
    ...wanted.minConfidence > 0 ? { minConfidence: wanted.minConfidence } : {},
  };
}

/**
 * Sends the photo as it is and reads the answer.
 *
 * @param {Blob} photo
 * @param {Wanted} wanted
 * @param {AbortSignal} signal
 * @returns {Promise<Answer>}
 */
export async function analyze(photo, wanted, signal) {
  const query = new URLSearchParams(
    Object.entries(toOptions(wanted)).map((
      [name, value],
    ) => [name, `${value}`]),
  );
  const start = performance.now();
  const response = await send(`v1/analyze?${query}`, {
    method: "POST",
    signal,
    ...toBody(photo, wanted.units ? wanted.neutral : undefined),
  });
  const analysis = /** @type {Analysis} */ (await response.json());
  return { analysis, roundTripMs: performance.now() - start };
}

/**
 * @param {Blob} photo
 * @param {Blob | undefined} neutral
 */
function toBody(photo, neutral) {
  if (!neutral) {
    const type = photo.type || "application/octet-stream";
    return { body: photo, headers: { "content-type": type } };
  }
  const body = new FormData();
  body.set("image", photo);
  body.set("neutral", neutral);
  return { body };
}

/**
 * @param {string} path
 * @param {RequestInit & { headers?: Record<string, string> }} init
 */
async function send(path, init) {
  const headers = { accept: "application/json", ...init.headers };
  const authorization = key ? { authorization: `Bearer ${key}` } : {};
  let response;
  try {
    response = await fetch(path, {
      ...init,
      headers: { ...headers, ...authorization },
    });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new RequestError(
      "The server could not be reached. Check the connection and try again.",
    );
  }
  if (response.ok) return response;
  /** @type {Partial<Problem>} */
  const problem = await response.json().catch(() => ({}));
  throw new RequestError(
    problem.detail ?? `The server answered ${response.status}.`,
    {
      title: problem.title ?? "The photo was not analysed",
      status: response.status,
      code: problem.code ?? "",
      requestId: problem.requestId ?? response.headers.get("x-request-id") ??
        "",
    },
  );
}
