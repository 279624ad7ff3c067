import { timingSafeEqual } from "node:crypto";
import { RequestError } from "./problem.ts";

/** Paths that stay open when keys are set. */
const OPEN = ["/", "/healthz", "/readyz", "/openapi.json", "/docs"];

/** Whether a path needs no key: pages, health and documentation. */
export function isOpenPath(path: string): boolean {
  return OPEN.includes(path) || path.startsWith("/docs/") ||
    path.startsWith("/demo/");
}

/** The key of a request, from `Authorization: Bearer` or `X-API-Key`. */
export function keyOf(request: Request): string | undefined {
  const bearer = /^Bearer\s+(\S+)$/i.exec(
    request.headers.get("authorization") ?? "",
  );
  return bearer?.[1] ?? request.headers.get("x-api-key") ?? undefined;
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
