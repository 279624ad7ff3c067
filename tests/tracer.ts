import {
  type Attributes,
  type Context,
  context,
  type ContextManager,
  propagation,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  type SpanOptions,
  type SpanStatus,
  SpanStatusCode,
  type TextMapPropagator,
  type TimeInput,
  trace,
  TraceFlags,
  type Tracer,
} from "@opentelemetry/api";
import { AsyncLocalStorage } from "node:async_hooks";

/** A span that is over. */
export interface RecordedSpan {
  name: string;
  kind: number;
  traceId: string;
  spanId: string;
  parentId: string | undefined;
  attributes: Attributes;
  status: SpanStatus;
  /** What was recorded beside the rest, which should be nothing. */
  events: unknown[];
  /** Milliseconds since 1970. */
  start: number;
  end: number;
}

/**
 * A tracer that keeps spans in memory: provider, context manager and W3C propagation, as small as
 * they can be, and no code of a tracing SDK.
 */
export class MemoryTracer {
  readonly spans: RecordedSpan[] = [];
  /** Whether new spans record. */
  sampled = true;
  /** Spans begun, recording or not. */
  begun = 0;

  /** Registers itself for this process, where there can be but one. */
  constructor() {
    trace.setGlobalTracerProvider({ getTracer: () => this.#tracer });
    context.setGlobalContextManager(new AsyncContexts());
    propagation.setGlobalPropagator(new TraceContext());
  }

  /** The spans of a name. */
  named(name: string): RecordedSpan[] {
    return this.spans.filter((span) => span.name === name);
  }

  /** The only span of a name. */
  one(name: string): RecordedSpan {
    const [span, ...more] = this.named(name);
    if (!span || more.length > 0) {
      throw new Error(`${1 + more.length} spans of ${name}`);
    }
    return span;
  }

  /** Forgets every span. */
  clear(): void {
    this.spans.length = this.begun = 0;
    this.sampled = true;
  }

  readonly #tracer: Tracer = {
    startSpan: (name, options, parent) => this.#start(name, options, parent),
    // deno-lint-ignore no-explicit-any
    startActiveSpan: (name: string, ...rest: any[]) => {
      const work = rest.pop();
      const [options, parent = context.active()] = rest;
      const span = this.#start(name, options, parent);
      return context.with(trace.setSpan(parent, span), work, undefined, span);
    },
  };

  #start(
    name: string,
    options: SpanOptions = {},
    parent: Context = context.active(),
  ): Span {
    this.begun++;
    const above = trace.getSpanContext(parent);
    return new MemorySpan(name, options, above, this.sampled, (span) => {
      if (this.sampled) this.spans.push(span);
    });
  }
}

class MemorySpan implements Span {
  readonly #span: RecordedSpan;
  readonly #recording: boolean;
  readonly #ended: (span: RecordedSpan) => void;

  constructor(
    name: string,
    { kind = 0, attributes = {}, startTime }: SpanOptions,
    above: SpanContext | undefined,
    recording: boolean,
    ended: (span: RecordedSpan) => void,
  ) {
    this.#recording = recording;
    this.#ended = ended;
    this.#span = {
      name,
      kind,
      traceId: above?.traceId ?? hex(16),
      spanId: hex(8),
      parentId: above?.spanId,
      attributes: { ...attributes },
      status: { code: SpanStatusCode.UNSET },
      events: [],
      start: milliseconds(startTime),
      end: NaN,
    };
  }

  spanContext(): SpanContext {
    const { traceId, spanId } = this.#span;
    const traceFlags = this.#recording ? TraceFlags.SAMPLED : TraceFlags.NONE;
    return { traceId, spanId, traceFlags };
  }
  setAttribute(name: string, value: unknown): this {
    return this.setAttributes({ [name]: value } as Attributes);
  }
  setAttributes(attributes: Attributes): this {
    Object.assign(this.#span.attributes, attributes);
    return this;
  }
  addEvent(...event: unknown[]): this {
    this.#span.events.push(event);
    return this;
  }
  addLink(link: unknown): this {
    return this.addEvent(link);
  }
  addLinks(links: unknown): this {
    return this.addEvent(links);
  }
  recordException(...exception: unknown[]): void {
    this.addEvent(...exception.map(String));
  }
  setStatus(status: SpanStatus): this {
    this.#span.status = status;
    return this;
  }
  updateName(name: string): this {
    this.#span.name = name;
    return this;
  }
  isRecording(): boolean {
    return this.#recording && Number.isNaN(this.#span.end);
  }
  end(time?: TimeInput): void {
    if (!Number.isNaN(this.#span.end)) throw new Error("a span ends twice");
    this.#span.end = milliseconds(time);
    this.#ended(this.#span);
  }
}

class AsyncContexts implements ContextManager {
  readonly #storage = new AsyncLocalStorage<Context>();
  active(): Context {
    return this.#storage.getStore() ?? ROOT_CONTEXT;
  }
  // deno-lint-ignore no-explicit-any
  with(context: Context, work: any, self?: unknown, ...args: any[]): any {
    return this.#storage.run(context, () => work.apply(self, args));
  }
  bind<Target>(_: Context, target: Target): Target {
    return target;
  }
  enable(): this {
    return this;
  }
  disable(): this {
    this.#storage.disable();
    return this;
  }
}

class TraceContext implements TextMapPropagator {
  inject: TextMapPropagator["inject"] = (context, carrier, setter) => {
    const span = trace.getSpanContext(context);
    if (!span) return;
    const flags = span.traceFlags.toString(16).padStart(2, "0");
    const header = `00-${span.traceId}-${span.spanId}-${flags}`;
    setter.set(carrier, "traceparent", header);
  };
  extract: TextMapPropagator["extract"] = (context, carrier, getter) => {
    const header = String(getter.get(carrier, "traceparent") ?? "");
    const match = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/
      .exec(header);
    if (!match) return context;
    const [, traceId, spanId, flags] = match as unknown as string[];
    const traceFlags = parseInt(flags!, 16);
    return trace.setSpanContext(context, {
      traceId: traceId!,
      spanId: spanId!,
      traceFlags,
      isRemote: true,
    });
  };
  fields(): string[] {
    return ["traceparent"];
  }
}

function hex(bytes: number): string {
  return crypto.getRandomValues(new Uint8Array(bytes)).toHex();
}

function milliseconds(time: TimeInput = Date.now()): number {
  if (typeof time === "number") return time;
  return time instanceof Date ? time.getTime() : time[0] * 1000 + time[1] / 1e6;
}
