import { timingSafeEqual } from "node:crypto";
import { RequestError } from "./problem.ts";

/** Paths that stay open when keys are set. */
const OPEN = ["/", "/healthz", "/readyz", "/openapi.json", "/docs"];

/** Whether a path needs no key: pages, health and documentation. */
export function isOpenPath(path: string): boolean {
  return OPEN.includes(path) || path.startsWith("/docs/") ||
    path.startsWith("/demo/") || path.startsWith("/sdk/");
}

/**
 * The key of a request, from `Authorization: Bearer`, `X-API-Key`, or the WebSocket subprotocol
 * `key.<base64url>`, the only place where a browser can put it.
 */
export function keyOf(request: Request): string | undefined {
  const bearer = /^Bearer\s+(\S+)$/i.exec(
    request.headers.get("authorization") ?? "",
  );
  return bearer?.[1] ?? request.headers.get("x-api-key") ??
    offeredKey(request);
}

/** The WebSocket subprotocols a request offers. */
export function offeredProtocols(request: Request): string[] {
  const offered = request.headers.get("sec-websocket-protocol") ?? "";
  return offered.split(",").map((name) => name.trim()).filter(Boolean);
}

function offeredKey(request: Request): string | undefined {
  const encoded = offeredProtocols(request)
    .find((name) => name.startsWith("key."))?.slice("key.".length);
  if (encoded === undefined) return undefined;
  try {
    const text = atob(encoded.replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
    return new TextDecoder().decode(bytes);
  } catch {
    return ""; // no key at all would be told to send one
  }
}

/**
 * Checks a request's key against SHA-256 hashes, in constant time.
 *
 * @returns The key's hash in hexadecimal.
 * @throws {RequestError} `unauthenticated` without a key, `forbidden` with a wrong one
 */
export async function checkKey(
  request: Request,
  hashes: readonly string[],
): Promise<string> {
  const key = keyOf(request);
  if (key === undefined) {
    throw new RequestError(
      "unauthenticated",
      "Send an API key as Authorization: Bearer <key> or X-API-Key: <key>",
      { headers: { "www-authenticate": 'Bearer realm="mien"' } },
    );
  }
  const digest = new Uint8Array(
    await crypto.subtle.digest("SHA-256", new TextEncoder().encode(key)),
  );
  let known = false;
  for (const hash of hashes) {
    if (timingSafeEqual(digest, fromHex(hash))) known = true;
  }
  if (!known) {
    throw new RequestError(
      "forbidden",
      "The API key is not accepted: check it",
    );
  }
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join(
    "",
  );
}

function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}
