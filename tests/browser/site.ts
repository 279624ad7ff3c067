import { createHandler } from "../../src/handlers/mod.ts";
import { createPipeline } from "../../src/pipeline/mod.ts";
import { run } from "../jsr/run.ts";

const ROOT = new URL("../../", import.meta.url);
const TYPES: Record<string, string> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
};

/** A real server with the SDK built, and the repository's files below `/repository/`. */
export class Site implements AsyncDisposable {
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #close: () => Promise<void>;
  /** Paths asked for, in order. */
  readonly asked: string[] = [];

  private constructor(
    handle: (request: Request) => Promise<Response>,
    close: () => Promise<void>,
  ) {
    this.#close = close;
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      async (request) => {
        const { pathname } = new URL(request.url);
        this.asked.push(pathname);
        return pathname.startsWith("/repository/")
          ? await file(pathname.slice("/repository/".length))
          : await handle(request);
      },
    );
  }

  /** Builds the SDK and starts; pages of any origin may ask. */
  static async open(): Promise<Site> {
    await run(Deno.execPath(), ["task", "bundle"], { cwd: ROOT });
    const pipeline = await createPipeline({
      workers: 0,
      limits: { minSide: 16 },
    });
    await pipeline.ready;
    const handler = createHandler({ pipeline, corsOrigins: ["*"] });
    return new Site(handler, () => pipeline.close());
  }

  /** An address on it. */
  url(path: string): string {
    return `http://127.0.0.1:${this.#server.addr.port}${path}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
    await this.#close();
  }
}

async function file(path: string): Promise<Response> {
  const bytes = await Deno.readFile(new URL(path, ROOT)).catch(() => undefined);
  if (!bytes) return new Response(null, { status: 404 });
  const type = TYPES[path.split(".").at(-1)!] ?? "application/octet-stream";
  return new Response(bytes, { headers: { "content-type": type } });
}
