import type { ErrorCode } from "../types.ts";

/** A failure a caller can act on: a code of the contract and a sentence that names what to change. */
export class PipelineError extends Error {
  override readonly name = "PipelineError";
  /** The contract's code; the HTTP layer maps it to a status. */
  readonly code: ErrorCode;

  /** Keep `detail` free of image content: it goes to clients and logs. */
  constructor(code: ErrorCode, detail: string, options?: ErrorOptions) {
    super(detail, options);
    this.code = code;
  }
}
