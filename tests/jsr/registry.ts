/** One published version. */
interface Release {
  version: string;
  files: Map<string, Uint8Array<ArrayBuffer>>;
  exports: Record<string, string>;
}

const TYPES: Record<string, string> = {
  ts: "text/typescript",
  js: "text/javascript",
  json: "application/json",
  wasm: "application/wasm",
};

/** A JSR registry of our own on loopback: takes what `deno publish` sends, gives it back. */
export class Registry implements AsyncDisposable {
  readonly #releases = new Map<string, Release>();
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor() {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      (request) => this.#answer(request),
    );
  }

  /** Where it listens; ends in a slash. */
  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}/`;
  }

  /** The files of a package, as they arrived. */
  files(name: string): Map<string, Uint8Array> {
    return this.#releases.get(name)?.files ?? new Map();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }

  async #answer(request: Request): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const api =
      /^\/api\/scopes\/(?<scope>[^/]+)\/packages\/(?<name>[^/]+)(\/versions\/(?<version>[^/]+))?$/
        .exec(pathname)?.groups;
    if (api) {
      const { scope, name, version } = api;
      if (request.method === "POST") {
        return await this.#publish(request, {
          name: `@${scope}/${name}`,
          version: version!,
          config: searchParams.get("config")!,
        });
      }
      return version ? notFound() : Response.json({ scope, name });
    }
    const [, name, path] = /^\/(@[^/]+\/[^/]+)\/(.+)$/.exec(pathname) ?? [];
    const release = this.#releases.get(name ?? "");
    if (!release) return notFound();
    const { version, files, exports } = release;
    if (path === "meta.json") {
      const [scope, short] = name!.slice(1).split("/");
      const versions = { [version]: {} };
      return Response.json({ scope, name: short, latest: version, versions });
    }
    if (path === `${version}_meta.json`) {
      const manifest: Record<string, unknown> = {};
      for (const [file, bytes] of files) {
        const checksum = `sha256-${await hash(bytes)}`;
        manifest[file] = { size: bytes.length, checksum };
      }
      return Response.json({ manifest, exports });
    }
    const bytes = files.get(path!.slice(version.length));
    if (!bytes) return notFound();
    const type = TYPES[path!.split(".").at(-1)!] ?? "application/octet-stream";
    return new Response(bytes, { headers: { "content-type": type } });
  }

  async #publish(
    request: Request,
    { name, version, config }: Record<"name" | "version" | "config", string>,
  ): Promise<Response> {
    const tar = request.body!.pipeThrough(new DecompressionStream("gzip"));
    const files = untar(await new Response(tar).bytes());
    const { exports } = JSON.parse(new TextDecoder().decode(files.get(config)));
    this.#releases.set(name, { version, files, exports });
    const now = new Date().toISOString();
    const [packageScope, packageName] = name.slice(1).split("/");
    return Response.json({
      id: crypto.randomUUID(),
      status: "success",
      error: null,
      packageScope,
      packageName,
      packageVersion: version,
      configFile: config,
      createdAt: now,
      updatedAt: now,
    });
  }
}

function notFound(): Response {
  return Response.json({ code: "notFound", message: "not found" }, {
    status: 404,
  });
}

async function hash(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return new Uint8Array(digest).toHex();
}

/** The files of a ustar archive by absolute path, GNU long names included. */
export function untar(
  tar: Uint8Array<ArrayBuffer>,
): Map<string, Uint8Array<ArrayBuffer>> {
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  const text = (at: number, length: number) =>
    new TextDecoder().decode(tar.subarray(at, at + length)).split("\0")[0]!;
  let long: string | undefined;
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0;) {
    const size = parseInt(text(at + 124, 12), 8);
    const kind = text(at + 156, 1), prefix = text(at + 345, 155);
    const body = tar.slice(at + 512, at + 512 + size);
    if (kind === "L") {
      long = new TextDecoder().decode(body).split("\0")[0]!;
    } else {
      const name = long ?? (prefix ? `${prefix}/` : "") + text(at, 100);
      if (kind === "0" || kind === "") files.set(`/${name}`, body);
      long = undefined;
    }
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}
