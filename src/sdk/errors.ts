import type { ErrorCode, Problem } from "../types.ts";

/** What a failure is called: a code of the contract, or one for what happens on the way. */
export type FailureCode =
  | ErrorCode
  | "connection_failed"
  | "timeout"
  | "invalid_response";

/** What an error knows beside its message. */
export interface FailureFacts extends ErrorOptions {
  /** The HTTP status, where a server answered. */
  status?: number;
  /** The request's id, to be quoted when asking for help. */
  requestId?: string;
  /** The server's problem document. */
  problem?: Problem;
  /** Milliseconds the server asked to wait before the next try. */
  retryAfterMs?: number;
}

/**
 * Anything that kept an analysis from its answer. What the caller aborted is not one: it rejects
 * with the signal's own reason.
 */
export class MienError extends Error {
  /** The class's name. */
  override readonly name: string = "MienError";
  /** What happened, for programs. */
  readonly code: FailureCode;
  /** The HTTP status; undefined when no server answered. */
  readonly status: number | undefined;
  /** The request's id; undefined when no request was made. */
  readonly requestId: string | undefined;
  /** The server's RFC 9457 document; undefined when it sent none. */
  readonly problem: Problem | undefined;
  /** Milliseconds the server asked to wait; undefined when it did not say. */
  readonly retryAfterMs: number | undefined;

  /** The message says what went wrong and what to change. */
  constructor(code: FailureCode, message: string, facts: FailureFacts = {}) {
    super(message, "cause" in facts ? { cause: facts.cause } : {});
    this.code = code;
    this.status = facts.status;
    this.requestId = facts.requestId;
    this.problem = facts.problem;
    this.retryAfterMs = facts.retryAfterMs;
  }
}

/** The server answered, and refused. */
export class APIError extends MienError {
  /** The class's name. */
  override readonly name: string = "APIError";
}

/** No answer arrived. */
export class ConnectionError extends MienError {
  /** The class's name. */
  override readonly name: string = "ConnectionError";
}

/** No answer arrived in time. */
export class TimeoutError extends ConnectionError {
  /** The class's name. */
  override readonly name: string = "TimeoutError";
}

/** The error of an answer that is none of success. Never fails itself, whatever the body. */
export async function toAPIError(
  response: Response,
  sentId: string,
): Promise<APIError> {
  const { status } = response;
  const text = await response.text().catch(() => "");
  let problem: Problem | undefined;
  try {
    const parsed = JSON.parse(text);
    if (typeof parsed?.code === "string") problem = parsed;
  } catch {
    // a proxy's page, say: the status has to do
  }
  const retryAfterMs = readRetryAfter(response.headers.get("retry-after"));
  return new APIError(
    problem?.code ?? "invalid_response",
    problem?.detail ?? `The server answered ${status} without saying why`,
    {
      status,
      requestId: problem?.requestId ?? response.headers.get("x-request-id") ??
        sentId,
      ...(problem ? { problem } : {}),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    },
  );
}

/** Milliseconds of a `Retry-After` in seconds or as a date. */
function readRetryAfter(value: string | null): number | undefined {
  if (!value) return undefined;
  const seconds = Number(value);
  const ms = isNaN(seconds) ? Date.parse(value) - Date.now() : seconds * 1000;
  return isNaN(ms) ? undefined : Math.max(0, ms);
}
