import assert from "node:assert/strict";
import type { Handler } from "../../src/handlers/mod.ts";
import { PROBLEMS } from "../../src/handlers/problem.ts";
import type { ErrorCode, Problem } from "../../src/types.ts";

/** A request for a path, as a browser elsewhere would send it. */
export function request(path: string, init: RequestInit = {}): Request {
  return new Request(new URL(path, "http://mien.test"), init);
}

/** GET a path. */
export function get(
  handler: Handler,
  path: string,
  headers: HeadersInit = {},
): Promise<Response> {
  return handler(request(path, { headers }));
}

/** POST a body. */
export function post(
  handler: Handler,
  path: string,
  body: BodyInit | null,
  headers: HeadersInit = {},
): Promise<Response> {
  return handler(request(path, { method: "POST", body, headers }));
}

/** Checks all that every problem document promises, and returns it. */
export async function problem(
  response: Response,
  code: ErrorCode,
  detail: RegExp = /./,
): Promise<Problem> {
  const body: Problem = await response.json();
  assert.equal(body.code, code, JSON.stringify(body));
  assert.equal(response.status, PROBLEMS[code].status);
  assert.equal(body.status, response.status);
  assert.equal(
    response.headers.get("content-type"),
    "application/problem+json",
  );
  assert.equal(response.headers.get("cache-control"), "no-store");
  assert.equal(body.requestId, response.headers.get("x-request-id"));
  assert.equal(body.type, `/docs#${code}`);
  assert.equal(body.title, PROBLEMS[code].title);
  assert.match(body.detail, detail);
  assert.doesNotMatch(body.detail, /file:|\.ts\b|Error:/);
  return body;
}

/** Base64 of bytes. */
export function base64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

/** A multipart body of an image file and whatever else. */
export function form(
  image: Uint8Array<ArrayBuffer>,
  parts: Record<string, string | Blob> = {},
): FormData {
  const data = new FormData();
  data.append("image", new Blob([image]), "photo.jpg");
  for (const [name, value] of Object.entries(parts)) data.append(name, value);
  return data;
}

/** A body of `chunks` chunks of `size` bytes without a length; counts what was taken of it. */
export function chunked(
  chunks: number,
  size: number,
): { stream: ReadableStream<Uint8Array>; taken: () => number } {
  let taken = 0;
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (taken === chunks) return controller.close();
      taken++;
      controller.enqueue(new Uint8Array(size));
    },
  }, { highWaterMark: 0 });
  return { stream, taken: () => taken };
}
