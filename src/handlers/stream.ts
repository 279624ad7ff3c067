import type { Analysis, AnalyzeOptions, Problem } from "../types.ts";
import type { Pipeline } from "../pipeline/mod.ts";
import { offeredProtocols } from "./access.ts";
import { Frames } from "./frames.ts";
import { RequestError } from "./problem.ts";

/** What a stream needs of the server's settings. */
export interface StreamSettings {
  pipeline: Pipeline;
  maxBodyBytes: number;
  deadlineMs: number;
  /** Origins that may open a stream besides our own, or `*`. */
  corsOrigins: readonly string[];
  /** Ends the stream once the frames it took are answered. */
  signal?: AbortSignal;
  /** Counts one frame against the caller's limit; rejects when there is none left. */
  count(): Promise<void>;
  /** Gets every answer before it is sent. */
  answered(answer: Analysis | Problem): void;
  /** Called once when the stream is over. */
  ended(summary: StreamSummary): void;
  /** Gets the failures that are ours. */
  report(error: unknown, requestId: string): void;
}

/** One stream as the log shows it. */
export interface StreamSummary {
  frames: number;
  bytesIn: number;
  ms: number;
  /** The WebSocket's close code. */
  code: number;
}

/** The one protocol that is spoken; a key is offered beside it as `key.<base64url>`. */
export const PROTOCOL = "mien.v1";
/** A peer that leaves this much unread is not reading: the stream ends. */
const MAX_UNREAD_BYTES = 4 * 1024 * 1024;

/** The runtime's way to take a WebSocket; Node has none. */
type Upgrade = (
  request: Request,
  options: { protocol?: string },
) => { socket: WebSocket; response: Response };

/**
 * `WS /v1/stream`: one image per binary message, exactly one JSON answer each.
 *
 * @throws {RequestError} `forbidden` for an origin that may not call, `invalid_request` for what
 * is no WebSocket or speaks another protocol
 */
export function openStream(
  request: Request,
  { requestId, options }: { requestId: string; options: AnalyzeOptions },
  settings: StreamSettings,
): Response {
  checkOrigin(request, settings.corsOrigins);
  const offered = offeredProtocols(request);
  if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
    throw new RequestError(
      "invalid_request",
      "This route takes WebSockets only: connect with ws: or wss:, or post single images to /v1/analyze",
      { headers: { upgrade: "websocket" } },
    );
  }
  if (offered.length > 0 && !offered.includes(PROTOCOL)) {
    throw new RequestError(
      "invalid_request",
      `The subprotocol is not spoken here: offer ${PROTOCOL}`,
    );
  }
  const upgrade = (globalThis as { Deno?: { upgradeWebSocket: Upgrade } }).Deno
    ?.upgradeWebSocket;
  if (!upgrade) {
    throw new RequestError(
      "unsupported_option",
      "This server's runtime takes no WebSockets: post single images to /v1/analyze",
    );
  }
  const { socket, response } = upgrade(
    request,
    offered.length > 0 ? { protocol: PROTOCOL } : {},
  );
  serve(socket, new Summary(), { requestId, options, settings });
  return response;
}

class Summary {
  readonly #start = performance.now();
  bytesIn = 0;
  get ms(): number {
    return performance.now() - this.#start;
  }
}

function serve(
  socket: WebSocket,
  summary: Summary,
  { requestId, options, settings }: {
    requestId: string;
    options: AnalyzeOptions;
    settings: StreamSettings;
  },
): void {
  const { pipeline, maxBodyBytes, deadlineMs, signal, count, report } =
    settings;
  const answer = (body: Analysis | Problem) => {
    settings.answered(body);
    if (socket.readyState !== WebSocket.OPEN) return;
    socket.send(JSON.stringify(body));
    if (socket.bufferedAmount > MAX_UNREAD_BYTES) {
      socket.close(1008, "The answers are not read");
    }
  };
  const frames = new Frames(requestId, options, {
    pipeline,
    maxBodyBytes,
    deadlineMs,
    count,
    answer,
    report,
  });
  const leave = async () => {
    await frames.settled();
    if (socket.readyState === WebSocket.OPEN) {
      socket.close(1001, "The server is shutting down");
    }
  };
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => {
    summary.bytesIn += data instanceof ArrayBuffer
      ? data.byteLength
      : String(data).length;
    frames.take(data);
  };
  socket.onopen = () => {
    if (signal?.aborted) leave();
    else signal?.addEventListener("abort", leave, { once: true });
  };
  socket.onerror = () => {}; // a close follows, and is all there is to do
  socket.onclose = ({ code }) => {
    signal?.removeEventListener("abort", leave);
    frames.end();
    const { bytesIn, ms } = summary;
    settings.ended({ frames: frames.received, bytesIn, ms, code });
  };
}

/** Browsers name the page's origin and apply no CORS to WebSockets: we do. */
function checkOrigin(request: Request, allowed: readonly string[]): void {
  const origin = request.headers.get("origin");
  if (origin === null || allowed.includes("*") || allowed.includes(origin)) {
    return;
  }
  const host = request.headers.get("host") ?? new URL(request.url).host;
  if (URL.canParse(origin) && new URL(origin).host === host) return;
  throw new RequestError(
    "forbidden",
    "Pages of this origin may not open a stream: add it to MIEN_CORS_ORIGINS",
  );
}
