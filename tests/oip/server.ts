/**
 * A strict server of the Open Inference Protocol that answers as Triton 2.51 was seen to, with
 * every fault one was seen to have. It shares no code with the client it tests.
 *
 * @module
 */
import type { ModelSpec } from "../../src/pipeline/manifest.ts";
import { infer, LENGTH, Refusal, type Run } from "./infer.ts";

/** What the server may do instead of answering rightly. */
export type Fault =
  | "hang" // takes the request and never answers
  | "slow" // answers after 300 ms
  | "loading" // the model is not there yet: 404, and its readiness 400
  | "busy" // the queue is full: 503
  | "broken" // 500, with paths of the server in it, while readiness stays 200
  | "cut" // closes the connection halfway through the body
  | "redirect" // sends the client elsewhere
  | "notJson" // a page of HTML with status 200
  | "jsonNan" // JSON with a bare NaN
  | "jsonNull" // JSON with null for a value
  | "nan" // NaN among the raw values
  | "headerTooLong" // a JSON length past the body's end
  | "headerNoNumber" // a JSON length that is none
  | "short" // four bytes too few
  | "long" // four bytes too many
  | "shape" // one row more than asked
  | "datatype" // FP64
  | "noOutput" // another output than asked
  | "otherModel" // another model's answer
  | "huge"; // more bytes than anybody would read

/** One request as it arrived. */
export interface Seen {
  method: string;
  path: string;
  headers: Headers;
  bytes: number;
  /** Its body was left before all of the answer was read. */
  left: boolean;
}

/** A running server. */
export interface OipServer {
  url: string;
  /** What to do instead; undefined answers rightly. */
  fault: Fault | undefined;
  /** Whether raw tensors are taken and announced. */
  binary: boolean;
  /** Compresses every reply, asked or not. */
  gzip: boolean;
  requests: Seen[];
  /** Requests to `infer` so far. */
  readonly inferences: number;
  /** Requests being answered now, and the most there ever were. */
  readonly together: { now: number; most: number };
  close(): Promise<void>;
}

/** An error as Triton puts it. */
function failure(status: number, error: string): Response {
  return new Response(JSON.stringify({ error }), {
    status,
    headers: {
      "content-type": status === 400 ? "text/plain" : "application/json",
    },
  });
}

/** Starts a server on a free port of this machine, or on the one given. */
export function startOipServer(
  specs: readonly ModelSpec[],
  run: Run,
  port = 0,
): OipServer {
  const requests: Seen[] = [];
  const together = { now: 0, most: 0 };
  const hanging = new AbortController();
  const server = Deno.serve(
    { port, hostname: "127.0.0.1", onListen: () => {} },
    async (request) => {
      const { pathname: path } = new URL(request.url);
      let body: Uint8Array<ArrayBuffer>;
      try {
        body = new Uint8Array(await request.arrayBuffer());
      } catch {
        return failure(400, "the client left before its body was read");
      }
      const seen: Seen = {
        method: request.method,
        path,
        headers: request.headers,
        bytes: body.length,
        left: false,
      };
      requests.push(seen);
      request.signal.addEventListener("abort", () => seen.left = true);
      together.most = Math.max(together.most, ++together.now);
      try {
        return await compress(await answer(request, path, body), request);
      } catch (error) {
        if (error instanceof Refusal) {
          return failure(error.status, error.message);
        }
        throw error;
      } finally {
        together.now--;
      }
    },
  );

  async function compress(reply: Response, request: Request) {
    const asked = /\bgzip\b/.test(request.headers.get("accept-encoding") ?? "");
    if (!asked && !state.gzip || reply.status !== 200) return reply;
    const bytes = new Uint8Array(
      await new Response(
        reply.body?.pipeThrough(new CompressionStream("gzip")),
      ).arrayBuffer(),
    );
    const headers = new Headers(reply.headers);
    headers.set("content-encoding", "gzip");
    headers.set("content-length", String(bytes.length));
    return new Response(bytes, { headers });
  }

  async function answer(
    request: Request,
    path: string,
    body: Uint8Array<ArrayBuffer>,
  ): Promise<Response> {
    const { fault } = state;
    const method = path.endsWith("/infer") ? "POST" : "GET";
    if (request.method !== method) return failure(405, "Method Not Allowed");
    if (path === "/v2/health/live" || path === "/v2/health/ready") {
      return new Response(null);
    }
    if (fault === "hang") await aborted(hanging.signal, request.signal);
    if (path === "/v2") {
      return Response.json({
        name: "triton",
        version: "2.51.0",
        extensions: [
          "classification",
          ...(state.binary ? ["binary_tensor_data"] : []),
        ],
      });
    }
    const match = /^\/v2\/models\/([^/]+)(\/ready|\/infer)?$/.exec(path);
    if (!match) return failure(404, "Not Found");
    const [, name, verb] = match;
    const spec = specs.find((spec) => spec.name === name);
    if (verb === "/ready") {
      const there = spec && fault !== "loading";
      return there
        ? new Response(null)
        : failure(400, "Model version not ready");
    }
    if (!spec) {
      return failure(404, `Request for unknown model: '${name}' is not found`);
    }
    if (fault === "loading") {
      return failure(
        404,
        `Request for unknown model: '${name}' has no available versions`,
      );
    }
    if (!verb) return Response.json(metadata(spec));
    switch (fault) {
      case "slow":
        await new Promise((done) => setTimeout(done, 300));
        break;
      case "busy":
        return failure(503, "Exceeds maximum queue size");
      case "broken":
        return failure(
          500,
          `Failed to process the request(s) for model instance '${name}_0_0', message: File "/models/${name}/1/model.py", line 7`,
        );
      case "cut":
        return cut();
      case "redirect":
        return Response.redirect(`${state.url}/elsewhere`, 307);
      case "notJson":
        return new Response("<html>Welcome</html>", {
          headers: { "content-type": "text/html" },
        });
      case "huge":
        return new Response(new Uint8Array(40 * 1024 * 1024));
    }
    return await infer(spec, request, body, run, state);
  }

  const state: OipServer = {
    url: `http://127.0.0.1:${server.addr.port}`,
    fault: undefined,
    binary: true,
    gzip: false,
    requests,
    get inferences() {
      return requests.filter(({ path }) => path.endsWith("/infer")).length;
    },
    together,
    async close() {
      hanging.abort();
      await server.shutdown();
    },
  };
  return state;
}

function metadata(spec: ModelSpec) {
  const list = (
    tensors: readonly { name: string; shape?: readonly (number | string)[] }[],
  ) =>
    tensors.map(({ name, shape = [] }) => ({
      name,
      datatype: "FP32",
      shape: shape.map((side) => typeof side === "number" ? side : -1),
    }));
  return {
    name: spec.name,
    versions: ["1"],
    platform: "onnxruntime_onnx",
    inputs: list(spec.inputs),
    outputs: list(spec.outputs),
  };
}

/** A reply whose connection breaks within its body. */
function cut(): Response {
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      controller.enqueue(new Uint8Array(20));
      controller.error(new Error("the connection breaks"));
    },
  });
  return new Response(stream, { headers: { [LENGTH]: "150" } });
}

/** Resolves when any of the signals fires. */
async function aborted(...signals: AbortSignal[]): Promise<void> {
  await new Promise<void>((done) => {
    for (const signal of signals) {
      if (signal.aborted) done();
      signal.addEventListener("abort", () => done(), { once: true });
    }
  });
  throw new Refusal(500, "the client left");
}
