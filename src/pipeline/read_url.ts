/** What is looked for in Node 20.16 and later: a page's bundler would stumble over an import. */
interface Node {
  process?: {
    getBuiltinModule?(
      name: "node:fs/promises",
    ): { readFile(url: URL): Promise<Uint8Array> };
  };
}

/**
 * The bytes at an address: from disk for `file:`, which Node's fetch does not take, else by fetch.
 *
 * @throws {Error} when there is nothing there
 */
export async function readUrl(url: URL): Promise<Uint8Array<ArrayBuffer>> {
  const { process } = globalThis as Node;
  const disk = process?.getBuiltinModule?.("node:fs/promises");
  if (url.protocol === "file:" && disk) {
    return new Uint8Array(await disk.readFile(url));
  }
  const response = await fetch(url);
  if (response.ok) return new Uint8Array(await response.arrayBuffer());
  throw new Error(`Cannot fetch ${url.href}: status ${response.status}`);
}
