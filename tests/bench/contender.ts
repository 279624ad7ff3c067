import { TextLineStream } from "./lines.ts";
import type { Question, Reply } from "./serve.ts";

/** A process that analyses photos when asked; idle while another is asked. */
export class Contender {
  readonly #process: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;

  private constructor(readonly name: string, args: readonly string[]) {
    this.#process = new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", ...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#lines = this.#process.stdout.pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream()).getReader();
    this.#writer = this.#process.stdin.getWriter();
  }

  /** Starts a process and waits until it is ready. */
  static async start(
    name: string,
    args: readonly string[],
  ): Promise<Contender> {
    const contender = new Contender(name, args);
    await contender.#next();
    return contender;
  }

  /** Peak resident memory in MB. */
  get peakMb(): number {
    return peakMb(this.#process.pid);
  }

  /** Has photos analysed. */
  async ask(question: Question): Promise<Reply> {
    const line = JSON.stringify(question) + "\n";
    await this.#writer.write(new TextEncoder().encode(line));
    return await this.#next() as Reply;
  }

  /** Ends the process. */
  async stop(): Promise<void> {
    await this.#writer.close();
    await this.#process.status;
  }

  /** The next message, leaving out what libraries print. */
  async #next(): Promise<unknown> {
    while (true) {
      const { value, done } = await this.#lines.read();
      if (done) throw new Error(`Cannot go on: ${this.name} ended`);
      if (value.startsWith("{")) return JSON.parse(value);
    }
  }
}

/** Peak resident memory of a process in MB, where the system tells. */
export function peakMb(pid: number): number {
  try {
    const status = Deno.readTextFileSync(`/proc/${pid}/status`);
    return Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1]) / 1024;
  } catch {
    return NaN;
  }
}
