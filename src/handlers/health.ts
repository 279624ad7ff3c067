import type { Pipeline } from "../pipeline/mod.ts";

/** Whether a pipeline's models are loaded, watched from its start. */
export class Readiness {
  #status: "starting" | "ready" | "failed" = "starting";

  /** Watches `pipeline.ready`. */
  constructor(pipeline: Pipeline) {
    pipeline.ready.then(
      () => this.#status = "ready",
      () => this.#status = "failed",
    );
  }

  /** `ready` once every model of the preload list is warm. */
  get status(): "starting" | "ready" | "failed" {
    return this.#status;
  }
}

/** `GET /readyz`: 200 when ready, else 503; details only for callers that may see them. */
export function readyz(
  readiness: Readiness,
  pipeline: Pipeline,
  settings: Record<string, unknown>,
  detailed: boolean,
): Response {
  const { status } = readiness;
  const ready = status === "ready";
  const body = detailed
    ? {
      status,
      model: pipeline.model,
      pool: pipeline.state,
      gpu: pipeline.gpu,
      settings,
    }
    : { status };
  const init = ready
    ? { status: 200 }
    : { status: 503, headers: { "retry-after": "1" } };
  return Response.json(body, init);
}
