import type { Analysis, AnalyzeOptions, Problem } from "../types.ts";
import { APIError, ConnectionError } from "./errors.ts";
import { framesOf, type FrameSource } from "./frames.ts";
import {
  type ClientSettings,
  retryDelay,
  send,
  sleep,
  unlessAborted,
} from "./request.ts";
import { type ImageInput, toUpload } from "./upload.ts";

/** What every frame of a stream is to be asked, and how the stream behaves. */
export interface StreamRequest extends AnalyzeOptions {
  /** Ends the stream; it rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Longest side in pixels; larger frames are shrunk before they are sent. Unset sends them as they are. */
  maxSide?: number;
  /** Frames on their way at once, 1 or 2: a server keeps no more waiting. @default {2} */
  inFlight?: 1 | 2;
  /** Milliseconds to wait for an answer before the connection is given up. @default {30_000} */
  timeoutMs?: number;
  /** New connections in a row after one was lost. Track ids start again with each. @default {2} */
  maxRetries?: number;
  /** For runtimes that have none, as Node 20. @default {globalThis.WebSocket} */
  WebSocket?: typeof WebSocket;
}

type Answer = Analysis | Problem;

/** Failures of one frame that the next may not have. */
const PASSING: ReadonlySet<string> = new Set([
  "overloaded",
  "not_ready",
  "deadline_exceeded",
  "rate_limited",
]);

/**
 * Sends frames as fast as they are answered and yields the answers in order.
 *
 * @throws {APIError} when the server refuses the stream or a frame for good
 * @throws {ConnectionError} when the connection fails and no new one stands
 */
export async function* stream(
  settings: ClientSettings,
  source: FrameSource,
  request: StreamRequest,
): AsyncGenerator<Analysis, void, undefined> {
  const { signal, maxRetries = settings.maxRetries } = request;
  const frames = framesOf(source);
  try {
    for (let attempt = 0;; attempt++) {
      try {
        for await (const analysis of oneConnection(settings, frames, request)) {
          attempt = 0;
          yield analysis;
        }
        return;
      } catch (error) {
        signal?.throwIfAborted();
        if (!(error instanceof ConnectionError) || attempt >= maxRetries) {
          throw error;
        }
        await sleep(retryDelay(attempt), signal);
      }
    }
  } finally {
    // Not awaited: a source that is waiting for its next frame would hold up the end.
    frames.return().catch(() => {});
  }
}

async function* oneConnection(
  settings: ClientSettings,
  frames: AsyncIterator<ImageInput>,
  request: StreamRequest,
): AsyncGenerator<Analysis, void, undefined> {
  const { signal, maxSide, inFlight = 2 } = request;
  const { timeoutMs = settings.timeoutMs } = request;
  const socket = await connect(settings, request);
  const waiting: PromiseWithResolvers<Answer>[] = [];
  const lost = new ConnectionError(
    "connection_failed",
    "The stream's connection was lost",
  );
  socket.onmessage = ({ data }) => waiting.shift()?.resolve(JSON.parse(data));
  socket.onclose = () => {
    for (const { reject } of waiting.splice(0)) reject(lost);
  };

  let turn: Promise<unknown> = Promise.resolve();
  /** Takes the next frame when the one before is sent; undefined when there is none. */
  async function exchange(): Promise<Answer | undefined> {
    const sent = turn.then(async () => {
      const { done, value } = await frames.next();
      if (done) return undefined;
      const bytes = await (await toUpload(value, maxSide)).arrayBuffer();
      if (socket.readyState !== socket.OPEN) throw lost; // closed while the frame came
      const answer = Promise.withResolvers<Answer>();
      waiting.push(answer);
      socket.send(bytes);
      return answer;
    });
    turn = sent;
    const answer = await sent;
    if (!answer) return undefined;
    const timer = setTimeout(() => socket.close(), timeoutMs);
    try {
      return await answer.promise;
    } finally {
      clearTimeout(timer);
    }
  }
  function ahead(): Promise<Answer | undefined> {
    const answer = signal ? unlessAborted(exchange(), signal) : exchange();
    answer.catch(() => {}); // reported when its turn comes, if it comes
    return answer;
  }

  try {
    const upcoming = Array.from({ length: inFlight }, ahead);
    for (let failures = 0;;) {
      signal?.throwIfAborted();
      const answer = await upcoming.shift()!;
      if (!answer) return;
      if ("faces" in answer) {
        failures = 0;
        upcoming.push(ahead());
        yield answer;
        continue;
      }
      if (!PASSING.has(answer.code)) throw toError(answer);
      await sleep(retryDelay(failures++), signal);
      upcoming.push(ahead());
    }
  } finally {
    socket.close();
  }
}

async function connect(
  settings: ClientSettings,
  request: StreamRequest,
): Promise<WebSocket> {
  const {
    signal,
    maxSide: _maxSide,
    inFlight: _inFlight,
    timeoutMs: _timeoutMs,
    maxRetries: _maxRetries,
    ...rest
  } = request;
  const { WebSocket: Socket = globalThis.WebSocket, ...options } = rest;
  if (!Socket) {
    throw new TypeError(
      "Cannot stream: this runtime has no WebSocket, pass one as WebSocket",
    );
  }
  const path = `v1/stream?${new URLSearchParams(
    Object.entries(options).map(([name, value]) => [name, String(value)]),
  )}`;
  const url = new URL(path, settings.endpoint);
  url.protocol = url.protocol.replace("http", "ws");
  const { apiKey } = settings;
  const socket = new Socket(
    url,
    apiKey ? ["mien.v1", `key.${base64url(apiKey)}`] : ["mien.v1"],
  );
  socket.binaryType = "arraybuffer";
  const opened = new Promise<boolean>((done) => {
    socket.onopen = () => done(true);
    socket.onerror = socket.onclose = () => done(false);
  });
  try {
    if (await (signal ? unlessAborted(opened, signal) : opened)) return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
  return await whyRefused(settings, path, signal);
}

/** A refused handshake does not say why: the same route without the upgrade does. */
async function whyRefused(
  settings: ClientSettings,
  path: string,
  signal: AbortSignal | undefined,
): Promise<never> {
  try {
    await send(settings, { path }, {
      maxRetries: 0,
      ...(signal ? { signal } : {}),
    });
  } catch (error) {
    const reached = error instanceof APIError &&
      error.code === "invalid_request" && !error.problem?.errors;
    if (!reached) throw error;
  }
  throw new ConnectionError(
    "connection_failed",
    `Cannot open a WebSocket to ${settings.endpoint.host}: check what stands between`,
  );
}

function toError(problem: Problem): APIError {
  const { code, detail, status, requestId } = problem;
  return new APIError(code, detail, { status, requestId, problem });
}

function base64url(text: string): string {
  const letters = Array.from(
    new TextEncoder().encode(text),
    (byte) => String.fromCharCode(byte),
  );
  return btoa(letters.join("")).replaceAll("+", "-").replaceAll("/", "_")
    .replaceAll("=", "");
}
