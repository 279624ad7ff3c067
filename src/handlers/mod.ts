/**
 * The HTTP side: one function from Request to Response over a pipeline.
 *
 * @example Serve it
 * ```ts no-eval
 * import { createHandler, createPipeline } from "@mien/mien/server";
 *
 * const pipeline = await createPipeline({ workers: 2 });
 * Deno.serve(createHandler({ pipeline }));
 * ```
 *
 * @module
 */
import { type Context, Hono } from "hono";
import { cors } from "hono/cors";
import { matchedRoutes } from "hono/route";
import type { Analysis } from "../types.ts";
import type { Pipeline } from "../pipeline/mod.ts";
import { nameRequest, tracedRequest } from "../pipeline/tracing.ts";
import { isOpenPath } from "./access.ts";
import { analyze, parseQuery, toPipelineOptions } from "./analyze.ts";
import { Callers, rateHeaders } from "./callers.ts";
import { Readiness, readyz } from "./health.ts";
import {
  infer,
  modelMetadata,
  modelReady,
  serverMetadata,
  toOipError,
} from "./infer.ts";
import { knownMethod, Metrics } from "./metrics.ts";
import { listModels, modelFile, showModel } from "./models.ts";
import { openApiDocument } from "./openapi.ts";
import { page, PAGE_PATHS } from "./pages.ts";
import { describeProblem, RequestError, toProblem } from "./problem.ts";
import { SDK_PATHS, sdkFile } from "./sdk.ts";
import type { BucketStore } from "./shared_rate_limit.ts";
import { openStream } from "./stream.ts";

export {
  type Calibration,
  type CallOptions,
  type CircuitState,
  createPipeline,
  type GpuOptions,
  type GpuState,
  type KnownFace,
  type KnownFaces,
  type Look,
  type Metric,
  type ModelFile,
  type ModelSpec,
  ModelStore,
  type OutputSpec,
  type Percentiles,
  type Pipeline,
  type PipelineOptions,
  type PoolState,
  type RemoteOptions,
  type Sighting,
  type Tensor,
} from "../pipeline/mod.ts";
export { type KvStore, openKvStore } from "./kv_store.ts";
export type { Bucket } from "./rate_limit.ts";
export type { BucketStore } from "./shared_rate_limit.ts";

/** What a handler is made of; only the pipeline is needed. */
export interface HandlerOptions {
  /** What analyses the images. */
  pipeline: Pipeline;
  /** SHA-256 of accepted API keys in hexadecimal; empty means open. @default {[]} */
  apiKeys?: readonly string[];
  /** Requests per minute and caller; absent means unlimited. */
  rateLimit?: number;
  /** Where several processes count callers together; absent means that each counts for itself. */
  rateLimitStore?: BucketStore;
  /** Origins that may call from a browser, or `*`. @default {[]} */
  corsOrigins?: readonly string[];
  /** Largest accepted body. @default {8_388_608} */
  maxBodyBytes?: number;
  /** Milliseconds from a request's arrival to its answer. @default {10_000} */
  deadlineMs?: number;
  /** Effective settings for `/readyz`; must hold no secrets. */
  settings?: Record<string, unknown>;
  /**
   * Aborts when the server is to stop: open streams end once their last frames are answered, and
   * a body still on its way is answered 503.
   */
  signal?: AbortSignal;
  /** Gets one entry per request, and one per stream at its end: sizes and times, never content. */
  log?: (entry: LogEntry) => void;
  /** Gets a sentence for the operator when something that can be done without fails. */
  warn?: (sentence: string) => void;
}

/** One answered request. */
export interface LogEntry {
  /** The request's id. */
  requestId: string;
  /** The HTTP method, or `other` for one that a client made up. */
  method: string;
  /** The route's pattern, not the path. */
  route: string;
  /** The answer's status; of a stream's end the WebSocket's close code. */
  status: number;
  /** Milliseconds from arrival to answer; how long a stream was open. */
  ms: number;
  /** The body's declared length, or of all frames together. */
  bytesIn: number;
  /** How many frames a stream had; at its end only. */
  frames?: number;
  /** The name and stack of an unexpected failure; status 500 only. */
  error?: string;
}

/** Who connected; what Deno.serve passes as its second argument. */
export interface ConnectionInfo {
  /** The peer's address. */
  remoteAddr?: { hostname?: string };
}

/** A request handler for `Deno.serve` and the like. */
export type Handler = (
  request: Request,
  info?: ConnectionInfo,
) => Promise<Response>;

const MAX_BODY_BYTES = 8 * 1024 * 1024;
const DEADLINE_MS = 10_000;
/** What the log shows of a caller who did not wait. */
const GONE = new RequestError(
  "invalid_request",
  "The client went away before the answer",
);

/** Makes the handler of every route. */
export function createHandler(options: HandlerOptions): Handler {
  const { pipeline, apiKeys = [], corsOrigins = [] } = options;
  const { maxBodyBytes = MAX_BODY_BYTES, deadlineMs = DEADLINE_MS } = options;
  const { signal } = options;
  const settings = {
    pipeline,
    maxBodyBytes,
    deadlineMs,
    ...(signal ? { signal } : {}),
  };
  const readiness = new Readiness(pipeline);
  const metrics = new Metrics();
  const callers = new Callers({
    apiKeys,
    rateLimit: options.rateLimit,
    store: options.rateLimitStore,
    warn(sentence) {
      metrics.storeFailed();
      options.warn?.(sentence);
    },
  });
  const app = new Hono<
    {
      Bindings: { info: ConnectionInfo };
      Variables: { requestId: string; caller: string };
    }
  >();
  let document: Record<string, unknown> | undefined;

  function needReady(): void {
    if (readiness.status === "ready") return;
    throw new RequestError(
      "not_ready",
      "Models are still loading: retry in a moment",
    );
  }

  app.use(async (c, next) => {
    const start = performance.now(), given = c.req.header("x-request-id") ?? "";
    const requestId = /^[\w\-=]{1,64}$/.test(given)
      ? given
      : crypto.randomUUID();
    c.set("requestId", requestId);
    const bytesIn = Number(c.req.header("content-length") ?? 0); // gone after an upgrade
    metrics.arrived();
    await next();
    secure(c.res.headers);
    c.res.headers.set("x-request-id", requestId);
    const entry = {
      method: knownMethod(c.req.method),
      route: routeOf(c),
      status: c.res.status,
      ms: performance.now() - start,
    };
    metrics.answered(entry);
    nameRequest(entry.method, entry.route);
    options.log?.({
      requestId,
      ...entry,
      bytesIn,
      ...(c.error && c.res.status === 500
        ? { error: c.error.stack ?? String(c.error) }
        : {}),
    });
  });
  if (corsOrigins.length > 0) {
    app.use(cors({
      origin: corsOrigins.includes("*") ? "*" : [...corsOrigins],
      allowMethods: ["GET", "HEAD", "POST"],
      allowHeaders: [
        "authorization",
        "content-type",
        "x-api-key",
        "x-request-id",
        "range",
        "inference-header-content-length",
      ],
      exposeHeaders: [
        "x-request-id",
        "server-timing",
        "retry-after",
        "ratelimit-limit",
        "ratelimit-remaining",
        "ratelimit-reset",
        "etag",
        "inference-header-content-length",
      ],
      maxAge: 600,
    }));
  }
  app.use(async (c, next) => {
    if (isOpenPath(c.req.path)) return await next();
    const caller = await callers.identify(c.req.raw, addressOf(c));
    c.set("caller", caller);
    const allowance = c.req.path === "/metrics"
      ? undefined
      : await callers.count(caller);
    await next();
    if (allowance) {
      for (const [name, value] of Object.entries(rateHeaders(allowance))) {
        c.header(name, value);
      }
    }
  });

  for (const path of PAGE_PATHS) app.get(path, () => page(path));
  for (const path of SDK_PATHS) {
    app.get(path, (c) => sdkFile(path, c.req.raw));
  }
  app.get("/healthz", () => Response.json({ status: "ok" }));
  app.get("/readyz", async (c) => {
    const detailed = await callers.identify(c.req.raw, addressOf(c))
      .then(() => true, () => false);
    return readyz(readiness, pipeline, options.settings ?? {}, detailed);
  });
  app.get(
    "/metrics",
    () => metrics.response(pipeline, readiness.status === "ready"),
  );
  app.get("/openapi.json", () => Response.json(document ??= openApiDocument()));
  app.post("/v1/analyze", (c) => {
    needReady();
    const answered = (analysis: Analysis) => metrics.result(analysis);
    return analyze(c.req.raw, c.get("requestId"), { ...settings, answered });
  });
  app.get("/v1/stream", (c) => {
    needReady();
    const requestId = c.get("requestId"), caller = c.get("caller");
    const entry = { method: "GET", route: "/v1/stream" };
    const response = openStream(c.req.raw, {
      requestId,
      options: toPipelineOptions(parseQuery(c.req.raw)),
    }, {
      ...settings,
      corsOrigins,
      count: async () => void await callers.count(caller),
      answered: (answer) => metrics.result(answer),
      ended: ({ code, ...summary }) => {
        metrics.stream(-1);
        options.log?.({ ...entry, requestId, status: code, ...summary });
      },
      report: (error, requestId) =>
        options.log?.({
          ...entry,
          requestId,
          status: 500,
          ms: 0,
          bytesIn: 0,
          error: error instanceof Error
            ? error.stack ?? String(error)
            : String(error),
        }),
    });
    metrics.stream(1);
    return response;
  });
  app.get("/v1/models", () => listModels(pipeline.models));
  app.get(
    "/v1/models/:name",
    (c) => showModel(pipeline.models, c.req.param("name")),
  );
  app.get(
    "/v1/models/:name/files/:file",
    (c) =>
      modelFile(
        pipeline.models,
        c.req.param("name"),
        c.req.param("file"),
        c.req.raw,
      ),
  );

  // Open Inference Protocol: this server as a backend of others.
  app.get("/v2", serverMetadata);
  app.get("/v2/health/live", () => new Response(null));
  app.get("/v2/health/ready", () => {
    needReady();
    return new Response(null);
  });
  for (
    const path of [
      "/v2/models/:name",
      "/v2/models/:name/versions/:version",
    ] as const
  ) {
    const { models } = pipeline;
    const named = (c: Context) =>
      [c.req.param("name")!, c.req.param("version")] as const;
    app.get(path, (c) => modelMetadata(models, ...named(c)));
    app.get(`${path}/ready`, (c) => {
      needReady();
      return modelReady(models, ...named(c));
    });
    app.post(`${path}/infer`, (c) => {
      needReady();
      const [name, version] = named(c);
      return infer(
        c.req.raw,
        { name, ...(version === undefined ? {} : { version }) },
        settings,
      );
    });
  }

  /** A failure in the words of the route's protocol. */
  function failed(error: unknown, c: Context): Response {
    const id = c.get("requestId") ?? crypto.randomUUID();
    const problem = toProblem(error, id), said = describeProblem(error, id);
    metrics.problem(said.code);
    return /^\/v2(\/|$)/.test(c.req.path)
      ? toOipError(problem, said.detail)
      : problem;
  }
  app.notFound((c) => failed(missing(app, c), c));
  app.onError((error, c) => failed(c.req.raw.signal.aborted ? GONE : error, c));
  return async (request, info) => {
    await Promise.resolve(); // lets a pipeline that is already ready be seen so
    return await tracedRequest(
      request,
      async () => await app.fetch(request, { info: info ?? {} }),
    );
  };
}

/** The peer's address, where the runtime tells. */
function addressOf(c: Context): string | undefined {
  return c.env?.info?.remoteAddr?.hostname;
}

/** The pattern of the route that a request is for, whoever answered it; `*` where there is none. */
function routeOf(c: Context): string {
  return matchedRoutes(c).findLast(({ method }) => method !== "ALL")?.path ??
    "*";
}

/** 405 where another method would do, else 404. */
function missing(
  app: Hono<never> | { routes: Hono["routes"] },
  c: Context,
): RequestError {
  const methods = new Set<string>();
  for (const { method, path } of app.routes) {
    const pattern = path.replaceAll(".", "\\.").replace(/:\w+/g, "[^/]+");
    const matches = new RegExp(`^${pattern}$`).test(c.req.path);
    if (method !== "ALL" && matches) methods.add(method);
  }
  if (methods.size === 0) {
    return new RequestError(
      "not_found",
      `There is nothing at ${c.req.path}: /docs lists every route`,
    );
  }
  if (methods.has("GET")) methods.add("HEAD");
  const allow = [...methods].join(", ");
  return new RequestError(
    "method_not_allowed",
    `${c.req.method} is not allowed at ${c.req.path}: use ${allow}`,
    { headers: { allow } },
  );
}

/** Headers every answer carries; a page's own policy and cache rule stay. */
function secure(headers: Headers): void {
  if (!headers.has("cache-control")) headers.set("cache-control", "no-store");
  if (!headers.has("content-security-policy")) {
    headers.set(
      "content-security-policy",
      "default-src 'none'; frame-ancestors 'none'",
    );
  }
  headers.set("x-content-type-options", "nosniff");
  headers.set("referrer-policy", "no-referrer");
  headers.set("cross-origin-resource-policy", "cross-origin");
}
