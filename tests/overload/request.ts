import { fixture } from "../testdata/pictures.ts";

/** The photo every client sends. */
const PHOTO = fixture("astronaut.jpg");

/** What became of one request. */
export interface Outcome {
  /** The server took it: it asked for the body (`100 Continue`). */
  accepted: boolean;
  /** The connection itself was refused. */
  refused: boolean;
  /** The answer's status when the answer is whole, else undefined. */
  status: number | undefined;
  headers: Headers;
  body: string;
  /** Milliseconds from connecting to the answer's last byte. */
  ms: number;
}

/**
 * Posts the photo over a connection of its own and reads to its end.
 *
 * The body waits for `100 Continue`, which tells a request that the server took from one that was
 * only in the listening socket's queue when the server went away.
 */
export async function post(url: URL): Promise<Outcome> {
  const start = performance.now();
  const outcome: Outcome = {
    accepted: false,
    refused: false,
    status: undefined,
    headers: new Headers(),
    body: "",
    ms: 0,
  };
  try {
    using socket = await Deno.connect({
      hostname: url.hostname,
      port: Number(url.port),
    });
    await write(socket, new TextEncoder().encode(head(url)));
    const first = await readHead(socket, "");
    outcome.accepted = first !== undefined;
    if (!first) return outcome;
    let answer: Head | undefined = first;
    if (first.status === 100) {
      await write(socket, PHOTO);
      answer = await readHead(socket, first.rest);
    }
    if (!answer) return outcome;
    outcome.headers = answer.headers;
    outcome.body = answer.rest + await readRest(socket);
    const length = Number(answer.headers.get("content-length") ?? NaN);
    if (outcome.body.length === length) outcome.status = answer.status;
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) outcome.refused = true;
    // A reset: what has arrived so far tells the rest.
  }
  outcome.ms = performance.now() - start;
  return outcome;
}

function head({ host, pathname }: URL): string {
  return `POST ${pathname} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n` +
    `Expect: 100-continue\r\nContent-Length: ${PHOTO.length}\r\n\r\n`;
}

interface Head {
  status: number;
  headers: Headers;
  /** What came after the head, one letter a byte. */
  rest: string;
}

/** Reads up to the end of a head; undefined when the connection ends before. */
async function readHead(
  socket: Deno.Conn,
  text: string,
): Promise<Head | undefined> {
  const buffer = new Uint8Array(4096);
  while (!text.includes("\r\n\r\n")) {
    const size = await socket.read(buffer);
    if (size === null) return undefined;
    text += latin1(buffer.subarray(0, size));
  }
  const end = text.indexOf("\r\n\r\n");
  const [first, ...lines] = text.slice(0, end).split("\r\n");
  return {
    status: Number(first!.split(" ")[1]),
    headers: new Headers(
      lines.map((line) => line.split(/:\s*/, 2) as [string, string]),
    ),
    rest: text.slice(end + 4),
  };
}

async function readRest(socket: Deno.Conn): Promise<string> {
  const buffer = new Uint8Array(1 << 16);
  let text = "";
  for (let size; (size = await socket.read(buffer)) !== null;) {
    text += latin1(buffer.subarray(0, size));
  }
  return text;
}

async function write(socket: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    at += await socket.write(bytes.subarray(at));
  }
}

function latin1(bytes: Uint8Array): string {
  return new TextDecoder("latin1").decode(bytes);
}
