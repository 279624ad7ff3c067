import { fixture } from "../testdata/pictures.ts";
import { join } from "./bytes.ts";
import type { Random } from "./random.ts";

/** What came back over a socket: a status, or nothing. */
export type Reply = { status: number; body: string } | undefined;

/** A case played on a bare socket. */
export interface WireCase {
  name: string;
  /** `undefined` among them: the server may close without a word. */
  statuses: readonly (number | undefined)[];
  play(address: Deno.ConnectOptions): Promise<Reply>;
}

const PHOTO = fixture("astronaut.jpg");
const HOST = "Host: mien.test\r\n";

function post(length: number | string, extra = ""): string {
  return `POST /v1/analyze HTTP/1.1\r\n${HOST}Connection: close\r\n${extra}` +
    `Content-Length: ${length}\r\n\r\n`;
}

/** Sends pieces with pauses between them, then reads to the end. */
function talk(
  pieces: readonly (string | Uint8Array)[],
  pauseMs = 0,
): WireCase["play"] {
  return async (address) => {
    using socket = await Deno.connect(address);
    let answered = false;
    const reading = readAll(socket).finally(() => answered = true);
    try {
      for (const piece of pieces) {
        if (answered) break;
        await writeAll(socket, join(piece));
        if (pauseMs) await delay(pauseMs);
      }
    } catch {
      // The server has had enough; its answer is still to be read.
    }
    return await reading;
  };
}

/** Sends bytes and hangs up after a while without reading. */
function hangUp(bytes: Uint8Array, afterMs: number): WireCase["play"] {
  return async (address) => {
    const socket = await Deno.connect(address);
    try {
      await writeAll(socket, bytes);
      await delay(afterMs);
    } finally {
      socket.close();
    }
    return undefined;
  };
}

/** A slow client: how slow follows from the server's deadline. */
export function slowClient(random: Random, deadlineMs: number): WireCase {
  if (random.chance(0.5)) {
    const pieces = [...PHOTO.slice(0, 40)].map((byte) => Uint8Array.of(byte));
    return {
      name: "a body that trickles past the deadline",
      statuses: [504],
      play: talk([post(PHOTO.length), ...pieces], deadlineMs / 20),
    };
  }
  const step = Math.ceil(PHOTO.length / 5);
  const pieces = Array.from(
    { length: 5 },
    (_, i) => PHOTO.slice(i * step, (i + 1) * step),
  );
  return {
    name: "a body that trickles within the deadline",
    statuses: [200],
    play: talk([post(PHOTO.length), ...pieces], deadlineMs / 20),
  };
}

/** Requests that end early, lie about their length, or are no HTTP. */
export function anyWire(random: Random): WireCase {
  const part = PHOTO.slice(0, random.int(0, PHOTO.length - 1));
  const cases: WireCase[] = [
    {
      name: "hangs up in mid-upload",
      statuses: [undefined],
      play: hangUp(join(post(PHOTO.length), part), random.int(0, 20)),
    },
    {
      name: "hangs up before the answer",
      statuses: [undefined],
      play: hangUp(join(post(PHOTO.length), PHOTO), random.int(0, 60)),
    },
    {
      name: "hangs up in mid-answer",
      statuses: [undefined],
      play: async (address) => {
        using socket = await Deno.connect(address);
        const path = random.pick(["/docs/swagger-ui-bundle.js", "/v1/models"]);
        await writeAll(socket, join(`GET ${path} HTTP/1.1\r\n${HOST}\r\n`));
        await socket.read(new Uint8Array(random.int(1, 5000)));
        return undefined;
      },
    },
    {
      name: "hangs up within the headers",
      statuses: [undefined],
      play: hangUp(join(post(5).slice(0, random.int(1, 60))), 0),
    },
    {
      name: "sends half a body and ends its side",
      statuses: [400, undefined],
      play: async (address) => {
        using socket = await Deno.connect(address);
        const reading = readAll(socket);
        await writeAll(socket, join(post(PHOTO.length), part));
        await socket.closeWrite();
        return await reading;
      },
    },
    {
      name: "a flood of headers",
      statuses: [400, 431, 200, undefined],
      play: talk([
        post(
          PHOTO.length,
          Array.from(
            { length: random.int(90, 20_000) },
            (_, i) => `X-${i}: ${i}\r\n`,
          ).join(""),
        ),
        PHOTO,
      ]),
    },
    {
      name: "a header of up to 4 MB",
      statuses: [400, 431, 200, undefined],
      play: talk([
        post(PHOTO.length, `X: ${"x".repeat(random.int(1, 4 << 20))}\r\n`),
        PHOTO,
      ]),
    },
    {
      name: "a path of up to 1 MB",
      statuses: [404, 414, 400, 431, undefined],
      play: talk([
        `GET /${
          "a".repeat(random.int(1, 1 << 20))
        } HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`,
      ]),
    },
    {
      name: "a length that is none",
      statuses: [400, undefined],
      play: talk([
        post(random.pick(["-1", "1e3", "99999999999999999999", "1, 2", "x"])),
        part,
      ]),
    },
    {
      name: "two lengths, or a length and chunks",
      statuses: [400, 415, 422, 200, undefined],
      play: talk([
        post(
          PHOTO.length,
          random.pick([
            "Content-Length: 5\r\n",
            "Transfer-Encoding: chunked\r\n",
          ]),
        ),
        PHOTO,
      ]),
    },
    {
      name: "chunks that are none",
      statuses: [400, undefined],
      play: talk([
        `POST /v1/analyze HTTP/1.1\r\n${HOST}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n`,
        random.pick(["zz\r\nabc\r\n", "ffffffffffffffffff\r\n", "5\r\nabc"]),
        "\r\n0\r\n\r\n",
      ]),
    },
    {
      name: "no HTTP at all",
      statuses: [400, undefined],
      play: talk([random.bytes(random.int(1, 2000)), "\r\n\r\n"]),
    },
    {
      name: "a strange request line",
      statuses: [400, 404, 405, 501, 200, undefined],
      play: talk([
        `${
          random.pick([
            "GET /v1/models/%ff HTTP/1.1",
            "GET /v1/models/%00 HTTP/1.1",
            "GET /v1/models/..%2f..%2fdeno.json HTTP/1.1",
            "GET /v1/models/expression_mien/files/..%2fREADME.md HTTP/1.1",
            "GET //v1//models HTTP/1.1",
            "GET http://elsewhere.test/healthz HTTP/1.1",
            "GET * HTTP/1.1",
            "OPTIONS * HTTP/1.1",
            "TRACE / HTTP/1.1",
            "CONNECT mien.test:443 HTTP/1.1",
            "BREW /v1/analyze HTTP/1.1",
            "GET /v1/models HTTP/1.0",
            "GET /v1/models HTTP/9.9",
            "GET /docs/../../../../etc/passwd HTTP/1.1",
            "GET /healthz?%zz=%% HTTP/1.1",
          ])
        }\r\n${HOST}Connection: close\r\n\r\n`,
      ]),
    },
  ];
  return random.pick(cases);
}

async function writeAll(socket: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    at += await socket.write(bytes.subarray(at));
  }
}

/** Reads until the answer is whole or the server closes. */
async function readAll(socket: Deno.Conn): Promise<Reply> {
  let text = "";
  const decoder = new TextDecoder("latin1"), buffer = new Uint8Array(1 << 16);
  try {
    for (let size; (size = await socket.read(buffer)) !== null;) {
      text += decoder.decode(buffer.subarray(0, size));
      if (isWhole(text)) break;
    }
  } catch {
    // Reset; what came before counts.
  }
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1];
  if (!status) return undefined;
  return { status: Number(status), body: text.split("\r\n\r\n")[1] ?? "" };
}

function isWhole(text: string): boolean {
  const [head, body] = text.split("\r\n\r\n", 2) as [string, string?];
  const length = /^content-length: *(\d+)/im.exec(head)?.[1];
  if (body === undefined) return false;
  return length
    ? body.length >= Number(length)
    : text.endsWith("\r\n0\r\n\r\n");
}

function delay(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}
