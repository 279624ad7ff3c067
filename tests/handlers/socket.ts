import assert from "node:assert/strict";
import { createHandler, type HandlerOptions } from "../../src/handlers/mod.ts";
import type { Analysis, ErrorCode, Problem } from "../../src/types.ts";

/** A handler behind a real port, for what needs a WebSocket. */
export class LoopbackServer implements AsyncDisposable {
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor(options: HandlerOptions) {
    const handler = createHandler(options);
    this.#server = Deno.serve({
      port: 0,
      hostname: "127.0.0.1",
      onListen: () => {},
    }, handler);
  }

  /** Its origin. */
  get origin(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

/** A client's end of a stream. */
export class Client implements AsyncDisposable {
  readonly socket: WebSocket;
  readonly closed: Promise<CloseEvent>;
  readonly #answers: (Analysis | Problem)[] = [];
  readonly #wanted: ((answer: Analysis | Problem) => void)[] = [];

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    this.closed = new Promise((done) => socket.onclose = done);
    socket.onmessage = ({ data }) => {
      const answer = JSON.parse(data);
      const wanted = this.#wanted.shift();
      if (wanted) wanted(answer);
      else this.#answers.push(answer);
    };
  }

  /** Opens a stream; rejects when the handshake is refused. */
  static async open(
    server: LoopbackServer,
    query = "",
    protocols: string[] = ["mien.v1"],
    headers: HeadersInit = {},
  ): Promise<Client> {
    const url = new URL(`/v1/stream?${query}`, server.origin);
    url.protocol = "ws:";
    const socket = new WebSocket(url, { protocols, headers });
    const client = new Client(socket);
    await new Promise<void>((done, fail) => {
      socket.onopen = () => done();
      socket.onerror = () => fail(new Error("The handshake was refused"));
    });
    return client;
  }

  send(data: ArrayBuffer | Uint8Array<ArrayBuffer> | string): void {
    this.socket.send(data);
  }

  /** The next answer. */
  next(): Promise<Analysis | Problem> {
    const answer = this.#answers.shift();
    if (answer) return Promise.resolve(answer);
    return new Promise((wanted) => this.#wanted.push(wanted));
  }

  /** The next answer, which must be an analysis. */
  async analysis(): Promise<Analysis> {
    const answer = await this.next();
    assert.ok("faces" in answer, JSON.stringify(answer));
    return answer;
  }

  /** The next answer, which must be a problem. */
  async problem(code: ErrorCode): Promise<Problem> {
    const answer = await this.next();
    assert.ok("code" in answer, JSON.stringify(answer));
    assert.equal(answer.code, code);
    return answer;
  }

  /** How many answers came that nobody asked for. */
  get unread(): number {
    return this.#answers.length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.socket.readyState <= WebSocket.OPEN) this.socket.close();
    await this.closed;
  }
}
