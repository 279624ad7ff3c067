const MAIN = new URL("main.ts", import.meta.url);

/** A server of the protocol in a process of its own, so that it can be killed. */
export class ServerProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  /** Its address. */
  readonly url: string;

  private constructor(child: Deno.ChildProcess, url: string) {
    this.#child = child;
    this.url = url;
  }

  /**
   * Starts the script with the port, or a free one, and what else it takes; resolves when it has
   * printed its address.
   *
   * @throws {Error} when it ends before that
   */
  static async start(
    { port = 0, script = MAIN, args = [] }: {
      port?: number;
      script?: URL;
      args?: readonly string[];
    } = {},
  ): Promise<ServerProcess> {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", script.pathname, String(port), ...args],
      stdout: "piped",
    }).spawn();
    const lines = child.stdout.pipeThrough(new TextDecoderStream());
    for await (const text of lines) {
      const url = /http:\S+/.exec(text)?.[0];
      if (url) return new ServerProcess(child, url);
    }
    throw new Error("Cannot start the server: it ended at once");
  }

  /** Sends it a signal. */
  signal(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Ends it without a goodbye, as a crash would. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended before.
    }
    await this.#child.status;
  }
}

/** A port that was free a moment ago. */
export function freePort(): number {
  using listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  return (listener.addr as Deno.NetAddr).port;
}
