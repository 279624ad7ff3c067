import process from "node:process";
import type { Pipeline } from "../pipeline/mod.ts";
import type { Analysis, ErrorCode, Problem, Timing } from "../types.ts";
import { VERSION } from "../version.ts";
import { gpuFamilies, poolFamilies } from "./pipeline_metrics.ts";
import { PROBLEMS } from "./problem.ts";
import {
  Counter,
  type Family,
  Histogram,
  PROMETHEUS_TYPE,
  writePrometheus,
} from "./prometheus.ts";

/** Upper bounds in seconds. */
const REQUEST_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const STAGE_SECONDS = [0.001, 0.0025, ...REQUEST_SECONDS];
/** Methods that are named. */
const METHODS = ["GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"];

/** A request's method, or `other` for one that a client made up. */
export function knownMethod(method: string): string {
  return METHODS.includes(method) ? method : "other";
}

/** One answered request. */
export interface CountedRequest {
  /** One of the known, or `other`. */
  method: string;
  /** The route's pattern, never the path. */
  route: string;
  status: number;
  ms: number;
}

/**
 * What the server counts about itself: numbers and times by route, status and error code, never
 * anything of an image or of what was found in it.
 */
export class Metrics {
  readonly #requests = new Counter(
    "mien_http_requests_total",
    "Answered requests.",
  );
  readonly #seconds = new Histogram(
    "mien_http_request_duration_seconds",
    "From a request's arrival to its answer.",
    REQUEST_SECONDS,
  );
  readonly #stages = new Histogram(
    "mien_stage_duration_seconds",
    "Time an analysis spent in a stage; stages that did not run are left out.",
    STAGE_SECONDS,
  );
  readonly #analyses = new Counter(
    "mien_analyses_total",
    "Images and frames that were analysed.",
  );
  readonly #faces = new Counter(
    "mien_faces_total",
    "Faces answered, by where they were read.",
  );
  readonly #problems = new Counter(
    "mien_problems_total",
    "Requests and frames that were refused or failed, by error code.",
  );
  readonly #storeFailures = new Counter(
    "mien_rate_limit_store_failures_total",
    "Times the store of the rate limits failed, after each of which this process counts by itself.",
  );
  #inFlight = 0;
  #streams = 0;

  /** Every code starts at 0, so that its first rise can be seen. */
  constructor() {
    for (const counter of [this.#analyses, this.#storeFailures]) {
      counter.add({}, 0);
    }
    for (const backend of ["wasm", "gpu"]) this.#faces.add({ backend }, 0);
    for (const code of Object.keys(PROBLEMS)) this.#problems.add({ code }, 0);
  }

  /** A request has come. */
  arrived(): void {
    this.#inFlight++;
  }

  /** A request that came has its answer. */
  answered({ method, route, status, ms }: CountedRequest): void {
    this.#inFlight--;
    this.#requests.add({ method, route, status: String(status) });
    this.#seconds.observe({ route }, ms / 1000);
  }

  /** A stream was opened (1) or is over (-1). */
  stream(change: 1 | -1): void {
    this.#streams += change;
  }

  /** An image or a frame has its answer. */
  result(answer: Analysis | Problem): void {
    if ("code" in answer) return this.problem(answer.code);
    this.#analyses.add();
    for (const { provenance } of answer.faces) {
      this.#faces.add({ backend: provenance.backend });
    }
    for (const [name, ms] of Object.entries<number>({ ...answer.timing })) {
      const stage = name.replace(/Ms$/, "");
      if (name !== "totalMs" satisfies keyof Timing && ms > 0) {
        this.#stages.observe({ stage }, ms / 1000);
      }
    }
  }

  /** Something was refused or failed. */
  problem(code: ErrorCode): void {
    this.#problems.add({ code });
  }

  /** The store of the rate limits failed. */
  storeFailed(): void {
    this.#storeFailures.add();
  }

  /** `GET /metrics`: everything, in Prometheus's text format. */
  response(pipeline: Pipeline, ready: boolean): Response {
    const text = writePrometheus([
      ...this.#families(ready),
      ...poolFamilies(pipeline.state),
      ...gpuFamilies(pipeline.gpu),
    ]);
    return new Response(text, { headers: { "content-type": PROMETHEUS_TYPE } });
  }

  #families(ready: boolean): Family[] {
    const runtime = process.versions.deno
      ? `deno ${process.versions.deno}`
      : `node ${process.versions.node}`;
    return [
      gauge("mien_build_info", "Always 1: what is running.", 1, {
        version: VERSION,
        runtime,
      }),
      gauge("mien_ready", "1 once models are loaded.", Number(ready)),
      this.#requests.family,
      this.#seconds.family,
      gauge(
        "mien_http_requests_in_flight",
        "Requests without an answer yet, this one among them.",
        this.#inFlight,
      ),
      gauge("mien_streams_open", "Open WebSocket streams.", this.#streams),
      this.#analyses.family,
      this.#faces.family,
      this.#stages.family,
      this.#problems.family,
      this.#storeFailures.family,
      gauge(
        "process_resident_memory_bytes",
        "Memory the process occupies, Workers included.",
        process.memoryUsage().rss,
      ),
      gauge(
        "process_start_time_seconds",
        "When the process started, in seconds since 1970.",
        performance.timeOrigin / 1000,
      ),
    ];
  }
}

function gauge(
  name: string,
  help: string,
  value: number,
  labels: Record<string, string> = {},
): Family {
  return { name, help, type: "gauge", samples: [{ value, labels }] };
}
