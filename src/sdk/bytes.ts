/** An encoded picture: a JPEG, PNG or WebP. */
export type EncodedImage =
  | Blob
  | ArrayBuffer
  | Uint8Array
  | ReadableStream<Uint8Array>
  | URL
  | `data:${string}`;

/**
 * The bytes of an encoded picture; a stream is read to its end.
 *
 * @throws {TypeError} when it is of another kind, or a URL that is not `data:`
 */
export async function toBytes(
  image: EncodedImage,
): Promise<Uint8Array<ArrayBuffer>> {
  if (image instanceof Uint8Array) return new Uint8Array(image);
  if (image instanceof ArrayBuffer) return new Uint8Array(image);
  if (image instanceof Blob || image instanceof ReadableStream) {
    return new Uint8Array(await new Response(image).arrayBuffer());
  }
  const url = String(image);
  if (image instanceof URL || typeof image === "string") {
    if (url.startsWith("data:")) {
      return new Uint8Array(await (await fetch(url)).arrayBuffer());
    }
    throw new TypeError(
      "Cannot read image: only data: URLs are read, fetch the image yourself",
    );
  }
  throw new TypeError(
    "Cannot read image: pass a Blob, bytes, a stream, a data: URL, or something that can be drawn",
  );
}
