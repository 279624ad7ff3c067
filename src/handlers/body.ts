import { deferred } from "../pipeline/deferred.ts";
import { RequestError } from "./problem.ts";

/**
 * Reads a request's body, chunked or not, up to a limit.
 *
 * Past the limit up to as much again is read and dropped, so that the client gets to see its 413.
 *
 * @throws {RequestError} `body_too_large`, `invalid_request` when the body breaks off, or
 * `deadline_exceeded` when the signal ends the wait
 */
export async function readBody(
  request: Request,
  maxBytes: number,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  if (!request.body) return new Uint8Array(0);
  const reader = request.body.getReader();
  const stopped = deferred<never>();
  stopped.promise.catch(() => {});
  const stop = () =>
    stopped.reject(
      new RequestError(
        "deadline_exceeded",
        "The body took too long to arrive: send it faster",
      ),
    );
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
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
    signal.removeEventListener("abort", stop);
    if (signal.aborted || total > 2 * maxBytes) reader.cancel().catch(() => {});
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
