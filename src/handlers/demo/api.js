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

/**
 * The expression models on offer.
 *
 * @returns {Promise<Model[]>}
 */
export async function fetchModels() {
  const response = await send("v1/models", {});
  /** @type {Model[]} */
  const models = await response.json();
  return models.filter((model) => model.task === "expression");
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
  const attributes = ["expression"];
  if (wanted.landmarks) attributes.push("landmarks");
  if (wanted.quality) attributes.push("quality");
  const query = [
    `attributes=${attributes.join(",")}`,
    `explain=${wanted.heatmap ? "evidence" : "none"}`,
    `model=${encodeURIComponent(wanted.model)}`,
  ];
  if (wanted.minConfidence > 0) {
    query.push(`minConfidence=${wanted.minConfidence}`);
  }
  const start = performance.now();
  const response = await send(`v1/analyze?${query.join("&")}`, {
    method: "POST",
    body: photo,
    headers: { "content-type": photo.type || "application/octet-stream" },
    signal,
  });
  const analysis = /** @type {Analysis} */ (await response.json());
  return { analysis, roundTripMs: performance.now() - start };
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
