import assert from "node:assert/strict";

const ROOT = new URL("../", import.meta.url);

/** The arguments of the `start` task, as a user's `deno task start` has them. */
export async function startArguments(): Promise<string[]> {
  const config = await Deno.readTextFile(new URL("deno.json", ROOT));
  const [command, ...args] = JSON.parse(config).tasks.start.command
    .replaceAll("'", "").split(" ");
  assert.equal(command, "deno");
  return args;
}

/** A real server on a free port, and what it printed. */
export class Server implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #listeners: { text: string; found: () => void }[] = [];
  /** All that it printed. */
  output = "";

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#ended = Promise.all([child.stdout, child.stderr].map(async (pipe) => {
      for await (const text of pipe.pipeThrough(new TextDecoderStream())) {
        this.output += text;
        for (const { text, found } of this.#listeners) {
          if (this.output.includes(text)) found();
        }
      }
    }));
  }

  /**
   * Starts a server; `printed` tells when it is ready.
   *
   * @param args Arguments for deno; those of the `start` task when absent.
   */
  static async start(
    env: Record<string, string> = {},
    args?: readonly string[],
  ): Promise<Server> {
    const command = new Deno.Command(Deno.execPath(), {
      args: [...args ?? await startArguments()],
      cwd: ROOT,
      env: { PORT: "0", HOST: "127.0.0.1", MIEN_WORKERS: "1", ...env },
      stdout: "piped",
      stderr: "piped",
    });
    return new Server(command.spawn());
  }

  /** Resolves when the text has been printed; rejects when the server ends without. */
  printed(text: string): Promise<void> {
    return new Promise((found, fail) => {
      this.#listeners.push({ text, found });
      if (this.output.includes(text)) found();
      this.#ended.then(() => fail(new Error(this.output)));
    });
  }

  /** The address of a path. */
  url(path: string): URL {
    const [, origin] = /"listening":"([^"]+)"/.exec(this.output)!;
    return new URL(path, origin);
  }

  /** The process's number. */
  get pid(): number {
    return this.#child.pid;
  }

  /** Sends a signal. */
  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** How the process ended, once all that it printed is read. */
  async status(): Promise<Deno.CommandStatus> {
    await this.#ended;
    return await this.#child.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.status();
  }
}
