import {
  context,
  propagation,
  type Span,
  SpanKind,
  type SpanOptions,
  SpanStatusCode,
  type TextMapGetter,
  trace,
} from "@opentelemetry/api";
import type { Interval } from "./clock.ts";
import { PipelineError } from "./error.ts";

/** Does nothing until somebody registers a provider. */
const tracer = trace.getTracer("mien");

const fromHeaders: TextMapGetter<Headers> = {
  get: (headers, name) => headers.get(name) ?? undefined,
  keys: (headers) => [...headers.keys()],
};

/**
 * Runs work in a span of its own. Of a failure the span keeps the code, never the message.
 *
 * Attributes must be sizes and times: nothing of an image, and nothing a client chose.
 */
export function traced<T>(
  name: string,
  options: SpanOptions,
  work: (span: Span) => Promise<T>,
): Promise<T> {
  return tracer.startActiveSpan(name, options, async (span) => {
    try {
      return await work(span);
    } catch (error) {
      span.setStatus({ code: SpanStatusCode.ERROR });
      span.setAttribute("error.type", typeOf(error));
      throw error;
    } finally {
      span.end();
    }
  });
}

/** As `traced`, for a request to another server. */
export function tracedCall<T>(
  name: string,
  work: () => Promise<T>,
): Promise<T> {
  return traced(name, { kind: SpanKind.CLIENT }, work);
}

/**
 * Runs the work of an HTTP request in a span that goes on where the caller's `traceparent` ends.
 * Where the runtime has made one already, as Deno does, that is the request's.
 */
export function tracedRequest(
  { headers }: Request,
  work: () => Promise<Response>,
): Promise<Response> {
  if (trace.getActiveSpan()) return work();
  const caller = propagation.extract(context.active(), headers, fromHeaders);
  const options = { kind: SpanKind.SERVER };
  return tracer.startActiveSpan("request", options, caller, async (span) => {
    try {
      const response = await work();
      span.setAttribute("http.response.status_code", response.status);
      return response;
    } finally {
      span.end();
    }
  });
}

/** Names the request's span, whoever made it. The route is a pattern, never a path. */
export function nameRequest(method: string, route: string): void {
  const span = trace.getActiveSpan();
  span?.updateName(`${method} ${route}`);
  span?.setAttribute("http.route", route);
}

/** Adds numbers to the span that is under way. */
export function addSizes(sizes: Record<string, number>): void {
  trace.getActiveSpan()?.setAttributes(sizes);
}

/** Adds a span for each stage of work that is over, and one for the wait before it. */
export function traceStages(
  intervals: readonly Interval[],
  { totalMs, queueMs }: { totalMs: number; queueMs: number },
): void {
  const start = Date.now() - (totalMs - queueMs);
  const all = queueMs > 0
    ? [{ stage: "queue", startMs: -queueMs, ms: queueMs }, ...intervals]
    : intervals;
  for (const { stage, startMs, ms } of all) {
    const startTime = start + startMs;
    tracer.startSpan(stage, { startTime }).end(startTime + ms);
  }
}

/** Headers that let another server go on with the trace. */
export function traceHeaders(): Record<string, string> {
  const headers: Record<string, string> = {};
  // Deno's fetch sends its own, and would add it to ours.
  if (!denoTraces()) propagation.inject(context.active(), headers);
  return headers;
}

function denoTraces(): boolean {
  const { telemetry } = (globalThis as {
    Deno?: { telemetry?: { tracerProvider: unknown } };
  }).Deno ?? {};
  return trace.getTracerProvider() === telemetry?.tracerProvider;
}

function typeOf(error: unknown): string {
  if (error instanceof PipelineError) return error.code;
  if (!(error instanceof Error)) return "_OTHER";
  return "reason" in error ? String(error.reason) : error.name;
}
