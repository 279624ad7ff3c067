import {
  APIError,
  ConnectionError,
  MienError,
  TimeoutError,
  toAPIError,
} from "./errors.ts";

/** Settings of one call; each overrides the client's. */
export interface RequestOptions {
  /** Ends the call, a wait between two tries included; it rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Milliseconds one try may take, the answer's body included. @default {30_000} */
  timeoutMs?: number;
  /** Further tries after a failure that may pass. @default {2} */
  maxRetries?: number;
  /** Sent along; they win over the client's. */
  headers?: Record<string, string>;
}

/** What every call of a client shares. */
export interface ClientSettings {
  /** Where the server's routes begin; ends in a slash. */
  endpoint: URL;
  /** Sent as `Authorization: Bearer`. */
  apiKey: string | undefined;
  /** As of {@linkcode RequestOptions}. */
  timeoutMs: number;
  /** As of {@linkcode RequestOptions}. */
  maxRetries: number;
  /** As of {@linkcode RequestOptions}. */
  headers: Record<string, string>;
  /** Makes the requests. */
  fetch: typeof fetch;
}

/** A request that can be sent again as it is. */
export interface Sendable {
  /** Below the endpoint, without a leading slash. */
  path: string;
  /** Absent: a GET. */
  body?: BodyInit;
  /** The body's type, where the runtime does not set it by itself. */
  type?: string;
  /** Statuses beside the successful ones whose body is the answer. */
  also?: readonly number[];
}

/** Longest wait a server may ask for; past it the failure is reported at once. */
const LONGEST_WAIT = 60_000;

/**
 * Sends a request until it is answered, at most `maxRetries` times again.
 *
 * @throws {APIError} when the server refuses
 * @throws {ConnectionError} when no answer arrives; {@linkcode TimeoutError} when none does in time
 */
export async function send<T>(
  settings: ClientSettings,
  request: Sendable,
  options: RequestOptions = {},
): Promise<T> {
  const { signal, maxRetries = settings.maxRetries } = options;
  const id = newRequestId();
  for (let attempt = 0;; attempt++) {
    signal?.throwIfAborted();
    try {
      return await sendOnce<T>(settings, request, options, id);
    } catch (error) {
      signal?.throwIfAborted();
      if (attempt >= maxRetries || !mayPass(error)) throw error;
      await sleep(retryDelay(attempt, error.retryAfterMs), signal);
    }
  }
}

/** Milliseconds to wait: what the server said, else half a second doubling to 8 s, up to a quarter less. */
export function retryDelay(
  attempt: number,
  retryAfterMs?: number,
  random: () => number = Math.random,
): number {
  return retryAfterMs ??
    Math.min(500 * 2 ** attempt, 8000) * (1 - random() / 4);
}

async function sendOnce<T>(
  settings: ClientSettings,
  { path, body, type, also = [] }: Sendable,
  options: RequestOptions,
  id: string,
): Promise<T> {
  const ms = options.timeoutMs ?? settings.timeoutMs;
  const timeout = AbortSignal.timeout(ms);
  const signal = options.signal
    ? AbortSignal.any([options.signal, timeout])
    : timeout;
  const work = async () => {
    const { fetch } = settings;
    const response = await fetch(new URL(path, settings.endpoint), {
      method: body === undefined ? "GET" : "POST",
      headers: {
        accept: "application/json",
        "x-request-id": id,
        ...(type ? { "content-type": type } : {}),
        ...(settings.apiKey
          ? { authorization: `Bearer ${settings.apiKey}` }
          : {}),
        ...settings.headers,
        ...options.headers,
      },
      signal,
      ...(body === undefined ? {} : { body }),
    });
    if (!response.ok && !also.includes(response.status)) {
      throw await toAPIError(response, id);
    }
    return { status: response.status, text: await response.text() };
  };
  let answer: { status: number; text: string };
  try {
    answer = await unlessAborted(work(), signal);
  } catch (cause) {
    if (cause instanceof MienError) throw cause;
    const facts = { cause, requestId: id };
    if (timeout.aborted && !options.signal?.aborted) {
      const message =
        `No answer within ${ms} ms: allow more with timeoutMs or send a smaller image`;
      throw new TimeoutError("timeout", message, facts);
    }
    const message =
      `Cannot reach ${settings.endpoint.origin}: check the endpoint and the connection`;
    throw new ConnectionError("connection_failed", message, facts);
  }
  try {
    return JSON.parse(answer.text);
  } catch (cause) {
    throw new APIError(
      "invalid_response",
      "The server's answer is not JSON: check that the endpoint is a Mien server",
      { cause, requestId: id, status: answer.status },
    );
  }
}

/** Whether another try may go better. An analysis changes nothing, so it may be repeated. */
function mayPass(error: unknown): error is MienError {
  if (error instanceof ConnectionError) return true;
  if (!(error instanceof APIError)) return false;
  const { status = 0, retryAfterMs = 0 } = error;
  return (status === 408 || status === 429 || status >= 500) &&
    retryAfterMs <= LONGEST_WAIT;
}

/** The work's result, or the signal's reason as soon as it is aborted, even where fetch does not listen. */
export function unlessAborted<T>(
  work: Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() =>
      signal.removeEventListener("abort", abort)
    );
  });
}

/** Waits; an abort ends the wait and rejects with the signal's reason. */
export function sleep(
  ms: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", abort, { once: true });
  });
}

/** A new id; `crypto.randomUUID` is missing in pages without TLS. */
export function newRequestId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}
