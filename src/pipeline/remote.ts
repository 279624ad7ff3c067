import type { Fallback } from "../types.ts";
import type { Backend } from "./backend.ts";
import { deferred } from "./deferred.ts";
import type { ModelSpec, ModelStore } from "./manifest.ts";
import {
  BINARY,
  describeTensors,
  joinBody,
  JSON_LENGTH,
  ProtocolError,
  readTensors,
  splitBody,
} from "./oip.ts";
import type { Tensor } from "./postprocess.ts";
import { addSizes, tracedCall, traceHeaders } from "./tracing.ts";

/** How a server of the Open Inference Protocol is reached. */
export interface RemoteOptions {
  /** Its address, up to and without `/v2`. */
  url: string;
  /** Sent as `Authorization: Bearer`. */
  token?: string;
  /** Milliseconds one exchange may take. @default {500} */
  timeoutMs?: number;
  /** Bytes a reply may have. @default {16_777_216} */
  maxReplyBytes?: number;
  /** What makes the requests. @default {fetch} */
  fetch?: typeof fetch;
}

/** A server that did not answer, or not rightly. */
export class RemoteError extends Error {
  override readonly name = "RemoteError";
  /** In the contract's words. */
  readonly reason: Exclude<Fallback["reason"], "circuit_open">;

  /** The message is for operators: it holds nothing the server said. */
  constructor(
    reason: RemoteError["reason"],
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.reason = reason;
  }
}

/** Failures after which the server may be another one, or the same with other abilities. */
const CHANGED: ReadonlySet<RemoteError["reason"]> = new Set([
  "refused",
  "error",
  "invalid_response",
]);

/** A backend on another machine, whose health can be asked for. */
export interface RemoteBackend extends Backend {
  /** Whether the server says that it has the model loaded; only a real reply proves it. */
  ready(model: string): Promise<boolean>;
  /** As any backend's; `timeoutMs` shortens the wait for this call. @throws {RemoteError} */
  run(
    model: string,
    feeds: Record<string, Tensor>,
    options?: {
      outputs?: readonly string[];
      signal?: AbortSignal;
      timeoutMs?: number;
    },
  ): Promise<Record<string, Tensor>>;
}

/**
 * A backend on a server of the Open Inference Protocol. Nothing is retried and calls are not
 * serialised; every reply is checked against the manifest before it is believed.
 */
export function createRemoteBackend(
  models: ModelStore,
  options: RemoteOptions,
): RemoteBackend {
  const { timeoutMs = 500, maxReplyBytes = 16 * 1024 * 1024 } = options;
  const request = options.fetch ?? fetch;
  const base = options.url.replace(/\/+$/, "");
  const headers: Record<string, string> = {
    // Triton would compress, which costs more than it saves.
    "accept-encoding": "identity",
    ...(options.token ? { authorization: `Bearer ${options.token}` } : {}),
  };
  let binary: Promise<boolean> | undefined;

  /** One exchange: status, headers and the whole body, within the time and size allowed. */
  async function exchange(
    path: string,
    init: RequestInit,
    signal: AbortSignal,
  ): Promise<{ headers: Headers; body: Uint8Array }> {
    let response: Response;
    try {
      response = await request(base + path, {
        ...init,
        headers: { ...headers, ...traceHeaders(), ...init.headers },
        redirect: "manual",
        signal,
      });
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw new RemoteError("refused", "Cannot reach the server", {
        cause: error,
      });
    }
    if (response.status !== 200) {
      await response.body?.cancel().catch(() => {});
      const busy = response.status === 503 || response.status === 429;
      throw new RemoteError(
        busy ? "overloaded" : "error",
        `The server answered ${response.status}`,
      );
    }
    const body = await readReply(response, maxReplyBytes, signal);
    return { headers: response.headers, body };
  }

  /** Runs an exchange that must end in time, unless the caller gives up first. */
  async function inTime<T>(
    work: (signal: AbortSignal) => Promise<T>,
    caller?: AbortSignal,
    ms = timeoutMs,
  ): Promise<T> {
    caller?.throwIfAborted();
    const late = AbortSignal.timeout(Math.min(ms, timeoutMs));
    const signal = caller ? AbortSignal.any([caller, late]) : late;
    try {
      return await work(signal);
    } catch (error) {
      if (caller?.aborted) throw caller.reason;
      if (late.aborted) {
        throw new RemoteError("timeout", "The server took too long");
      }
      throw error;
    }
  }

  /** Whether the server takes raw tensors. */
  async function takesBinary(signal: AbortSignal): Promise<boolean> {
    const { body } = await exchange("/v2", {}, signal);
    const { message } = trust(() => splitBody(body, null));
    const { extensions } = message;
    return Array.isArray(extensions) && extensions.includes(BINARY);
  }

  /** The same, asked once; again after a failure of a kind that another server in its place explains. */
  function capability(): Promise<boolean> {
    return binary ??= inTime(takesBinary).catch((error) => {
      binary = undefined;
      throw error;
    });
  }

  async function run(
    model: string,
    feeds: Record<string, Tensor>,
    outputs: readonly string[],
    signal: AbortSignal,
  ): Promise<Record<string, Tensor>> {
    const raw = await unlessAborted(capability(), signal);
    const { body, jsonLength } = joinBody({
      inputs: describeTensors(feeds, raw),
      outputs: outputs.map((name) => ({
        name,
        ...(raw ? { parameters: { binary_data: true } } : {}),
      })),
    }, raw ? Object.values(feeds) : []);
    const reply = await exchange(`/v2/models/${model}/infer`, {
      method: "POST",
      body,
      headers: raw
        ? {
          "content-type": "application/octet-stream",
          [JSON_LENGTH]: String(jsonLength),
        }
        : { "content-type": "application/json" },
    }, signal);
    const batch = Object.values(feeds)[0]!.dims[0]!;
    addSizes({
      "mien.faces": batch,
      "http.request.body.size": body.length,
      "http.response.body.size": reply.body.length,
    });
    return trust(() => {
      const { message, raw } = splitBody(
        reply.body,
        reply.headers.get(JSON_LENGTH),
      );
      const { model_name: name = model } = message;
      if (name !== model) throw new ProtocolError(`${name} answered`);
      const tensors = readTensors(message.outputs, raw);
      return pick(tensors, models.get(model), outputs, batch);
    });
  }

  return {
    load: async (model) =>
      void await inTime((signal) =>
        exchange(`/v2/models/${model}`, {}, signal)
      ),
    async ready(model) {
      try {
        await inTime((signal) =>
          exchange(`/v2/models/${model}/ready`, {}, signal)
        );
        return true;
      } catch {
        return false;
      }
    },
    async run(model, feeds, { outputs, signal, timeoutMs } = {}) {
      const wanted = outputs ??
        models.get(model).outputs.map(({ name }) => name);
      try {
        return await tracedCall("remote", () =>
          inTime(
            (signal) => run(model, feeds, wanted, signal),
            signal,
            timeoutMs,
          ));
      } catch (error) {
        if (error instanceof RemoteError && CHANGED.has(error.reason)) {
          binary = undefined;
        }
        throw error;
      }
    },
    close: () => Promise.resolve(),
  };
}

/** A reply's body; runtimes differ in whether they inflate one that was compressed unasked. */
async function readReply(
  response: Response,
  maxBytes: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const bytes = await collect(response.body, maxBytes, signal);
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const inflated = new Blob([bytes]).stream()
    .pipeThrough(new DecompressionStream("gzip"));
  return await collect(inflated, maxBytes, signal);
}

/** Reads a stream to its end, up to a limit. */
async function collect(
  stream: ReadableStream<Uint8Array> | null,
  maxBytes: number,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let total = 0;
  try {
    for await (const chunk of stream ?? []) {
      total += chunk.length;
      if (total > maxBytes) break;
      chunks.push(chunk);
    }
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw new RemoteError("invalid_response", "The reply broke off", {
      cause: error,
    });
  }
  if (total > maxBytes) {
    throw new RemoteError("invalid_response", "The reply is too large");
  }
  const body = new Uint8Array(total);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.length;
  }
  return body;
}

/** The outputs that were asked for, shaped as the manifest says. */
function pick(
  tensors: Record<string, Tensor>,
  spec: ModelSpec,
  names: readonly string[],
  batch: number,
): Record<string, Tensor> {
  return Object.fromEntries(names.map((name) => {
    const tensor = tensors[name];
    const shape = spec.outputs.find((output) => output.name === name)?.shape;
    if (!tensor) throw new ProtocolError(`there is no output '${name}'`);
    const fits = tensor.dims[0] === batch &&
      (!shape || (shape.length === tensor.dims.length &&
        shape.every((side, axis) =>
          typeof side === "string" || side === tensor.dims[axis]
        )));
    if (!fits) {
      throw new ProtocolError(`output '${name}' has shape [${tensor.dims}]`);
    }
    return [name, tensor];
  }));
}

/** Waits for work that others share, until the signal ends this one's wait. */
async function unlessAborted<T>(
  work: Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const { promise, reject } = deferred<never>();
  const stop = () => reject(signal.reason);
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** Turns a breach of the protocol into an answer that is not to be used. */
function trust<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new RemoteError("invalid_response", error.message, { cause: error });
  }
}
