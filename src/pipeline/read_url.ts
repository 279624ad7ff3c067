/**
 * The bytes at an address: from disk for `file:`, which Node's fetch does not take, else by fetch.
 *
 * @throws {Error} when there is nothing there
 */
export async function readUrl(url: URL): Promise<Uint8Array<ArrayBuffer>> {
  if (url.protocol === "file:") {
    if (globalThis.Deno) return await Deno.readFile(url);
    const name = "node:fs/promises"; // not a literal: bundlers for pages would look for it
    const { readFile } = await import(/* @vite-ignore */ name);
    return new Uint8Array(await readFile(url));
  }
  const response = await fetch(url);
  if (response.ok) return new Uint8Array(await response.arrayBuffer());
  throw new Error(`Cannot fetch ${url.href}: status ${response.status}`);
}
