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
