import { RequestError } from "./problem.ts";

/**
 * A body as it was before its `Content-Encoding`.
 *
 * @throws {RequestError} `invalid_request` for another encoding than gzip or deflate or a broken
 * body, `body_too_large` as soon as more than `maxBytes` have come out
 */
export async function inflate(
  body: Uint8Array<ArrayBuffer>,
  encoding: string | null,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const name = encoding?.trim().toLowerCase() || "identity";
  if (name === "identity") return body;
  if (name !== "gzip" && name !== "deflate") {
    throw new RequestError(
      "invalid_request",
      "The Content-Encoding is not known: send gzip, deflate or none",
      { headers: { "accept-encoding": "gzip, deflate" } },
    );
  }
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let total = 0;
  const stream = new Blob([body]).stream().pipeThrough(
    new DecompressionStream(name),
  );
  const reader = stream.getReader();
  while (total <= maxBytes) {
    const { done, value } = await reader.read().catch(() => {
      throw new RequestError(
        "invalid_request",
        `The body is not valid ${name}: compress it again`,
      );
    });
    if (done) return new Uint8Array(await new Blob(chunks).arrayBuffer());
    total += value.length;
    chunks.push(value);
  }
  await reader.cancel().catch(() => {});
  throw new RequestError(
    "body_too_large",
    `The body exceeds the limit of ${maxBytes} bytes when unpacked: send fewer rows`,
  );
}
