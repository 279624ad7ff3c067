import { deferred } from "../pipeline/deferred.ts";
import { RequestError } from "./problem.ts";

/** How long a body is waited for, and how much of it is taken. */
export interface BodySettings {
  maxBodyBytes: number;
  /** Milliseconds from now. */
  deadlineMs: number;
  /** Aborts when the server is to stop: a body still on its way is not waited for. */
  signal?: AbortSignal;
}

/**
 * Reads a request's body, chunked or not, up to a limit.
 *
 * Past the limit up to as much again is read and dropped, so that the client gets to see its 413.
 *
 * @throws {RequestError} `body_too_large`, `invalid_request` when the body breaks off,
 * `deadline_exceeded` when it takes too long, or `overloaded` when the server stops first
 */
export async function readBody(
  request: Request,
  { maxBodyBytes: maxBytes, deadlineMs, signal }: BodySettings,
): Promise<Uint8Array<ArrayBuffer>> {
  if (!request.body) return new Uint8Array(0);
  const reader = request.body.getReader();
  const stopped = deferred<never>();
  stopped.promise.catch(() => {});
  let ended = false;
  const end = (error: RequestError) => {
    ended = true;
    stopped.reject(error);
  };
  const stop = () => end(stopping());
  const timer = setTimeout(() => end(tooSlow()), deadlineMs);
  if (signal?.aborted) stop();
  signal?.addEventListener("abort", stop, { once: true });
  const chunks: Uint8Array[] = [];
  let total = 0;
  try {
    while (true) {
      const { done, value } = await Promise.race([
        reader.read().catch(brokenOff),
        stopped.promise,
      ]);
      if (done) break;
      total += value.length;
      if (total <= maxBytes) chunks.push(value);
      else chunks.length = 0;
      if (total > 2 * maxBytes) break;
    }
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
    if (ended || total > 2 * maxBytes) reader.cancel().catch(() => {});
  }
  if (total > maxBytes) {
    throw new RequestError(
      "body_too_large",
      `The body exceeds the limit of ${maxBytes} bytes: send a smaller image`,
    );
  }
  const bytes = new Uint8Array(total);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

function brokenOff(): never {
  throw new RequestError(
    "invalid_request",
    "The body broke off before its end: send it again",
  );
}

/** The rest may still come: the client is told not to send its next request behind it. */
function tooSlow(): RequestError {
  return new RequestError(
    "deadline_exceeded",
    "The body took too long to arrive: send it faster",
    { headers: { connection: "close" } },
  );
}

function stopping(): RequestError {
  return new RequestError(
    "overloaded",
    "The server is shutting down: retry",
    { headers: { connection: "close" } },
  );
}
