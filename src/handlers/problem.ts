import type { ErrorCode, Problem } from "../types.ts";
import { PipelineError } from "../pipeline/error.ts";

/** Status and title of every error code of the contract. */
export const PROBLEMS: Record<ErrorCode, { status: number; title: string }> = {
  invalid_request: { status: 400, title: "The request is malformed" },
  unauthenticated: { status: 401, title: "An API key is needed" },
  forbidden: { status: 403, title: "The API key is not accepted" },
  not_found: { status: 404, title: "There is nothing here" },
  unknown_model: { status: 404, title: "There is no such model" },
  method_not_allowed: { status: 405, title: "The method is not allowed here" },
  body_too_large: { status: 413, title: "The body is too large" },
  image_too_large: { status: 413, title: "The image has too many pixels" },
  unsupported_image: {
    status: 415,
    title: "The image format is not supported",
  },
  corrupt_image: { status: 422, title: "The image cannot be decoded" },
  image_too_small: { status: 422, title: "The image is too small" },
  no_face_in_neutral: { status: 422, title: "The neutral photo shows no face" },
  unsupported_option: { status: 422, title: "The option is not available" },
  rate_limited: { status: 429, title: "Too many requests" },
  overloaded: { status: 503, title: "The server is busy" },
  not_ready: { status: 503, title: "The server is starting" },
  gpu_unavailable: { status: 503, title: "No GPU server is available" },
  deadline_exceeded: { status: 504, title: "The analysis took too long" },
  internal: { status: 500, title: "Something went wrong" },
};

/** A failure with its contract code, and one entry per offending field where there are any. */
export class RequestError extends PipelineError {
  readonly errors: readonly { path: string; message: string }[];
  readonly headers: Record<string, string>;

  /** `headers` are added to the answer. */
  constructor(
    code: ErrorCode,
    detail: string,
    extra: {
      errors?: readonly { path: string; message: string }[];
      headers?: Record<string, string>;
    } = {},
  ) {
    super(code, detail);
    this.errors = extra.errors ?? [];
    this.headers = extra.headers ?? {};
  }
}

/** A failure as a problem document. Unknown failures become `internal`, without their message. */
export function describeProblem(error: unknown, requestId: string): Problem {
  const known = error instanceof PipelineError && error.code !== "internal"
    ? error
    : undefined;
  const code = known?.code ?? "internal";
  const { status, title } = PROBLEMS[code];
  const problem: Problem = {
    type: `/docs#${code}`,
    title,
    status,
    detail: known?.message ??
      "The server could not finish this request; the request id helps us find out why",
    code,
    requestId,
  };
  if (known instanceof RequestError && known.errors.length > 0) {
    problem.errors = [...known.errors];
  }
  return problem;
}

/** The answer to a request that failed: its problem document, with the failure's own headers. */
export function toProblem(error: unknown, requestId: string): Response {
  const problem = describeProblem(error, requestId);
  const headers: Record<string, string> = {
    "content-type": "application/problem+json",
    ...error instanceof RequestError ? error.headers : {},
  };
  if (problem.status === 503) headers["retry-after"] ??= "1";
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers,
  });
}
