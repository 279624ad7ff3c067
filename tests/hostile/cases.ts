import { fixture } from "../testdata/pictures.ts";
import { anyBody } from "./bodies.ts";
import { bomb, BOMBS } from "./bombs.ts";
import { damaged } from "./damage.ts";
import { lie } from "./lies.ts";
import { anyOptions, fitQuery } from "./options.ts";
import { Random } from "./random.ts";
import { anyWire, type Reply, slowClient } from "./wire.ts";

/** One hostile request and what may come back; `undefined`: nothing, for the client went away. */
export interface Case {
  name: string;
  statuses: readonly (number | undefined)[];
  send(origin: URL): Promise<Reply>;
}

/** The good photo, and what its answer is compared by. */
export const PHOTO: Uint8Array<ArrayBuffer> = fixture("astronaut.jpg");
const READ = [200, 413, 415, 422];

/** How often each family is drawn. */
const FAMILIES: [weight: number, make: Maker][] = [
  [30, ofDamage],
  [22, ofLies],
  [20, ofOptions],
  [15, ofBodies],
  [10, (random, deadlineMs) => ofWire(random, deadlineMs)],
  [1, ofBombs],
];

type Maker = (random: Random, deadlineMs: number) => Case | Promise<Case>;

/** The case of a number: the same on every run. */
export async function makeCase(
  seed: number,
  deadlineMs: number,
): Promise<Case> {
  const random = new Random(seed);
  let at = random.int(1, FAMILIES.reduce((sum, [weight]) => sum + weight, 0));
  for (const [weight, make] of FAMILIES) {
    at -= weight;
    if (at <= 0) return await make(random, deadlineMs);
  }
  throw new RangeError("Cannot draw a case: the weights do not add up");
}

/** Every bomb once, and each kind of slow client. */
export async function fixedCases(deadlineMs: number): Promise<Case[]> {
  const bombs = await Promise.all(BOMBS.map(ofBomb));
  const slow = [1, 2, 3, 4].map((seed) =>
    slowClient(new Random(seed), deadlineMs)
  )
    .map((wire) => played(wire));
  return [...bombs, ...slow];
}

function ofDamage(random: Random): Case {
  const { name, bytes } = damaged(random);
  return upload(name, wrap(random, bytes), READ);
}

async function ofLies(random: Random): Promise<Case> {
  const { name, bytes, statuses } = await lie(random);
  return upload(name, wrap(random, bytes), statuses);
}

async function ofBombs(random: Random): Promise<Case> {
  return await ofBomb(random.pick(BOMBS));
}

async function ofBomb(name: string): Promise<Case> {
  const { bytes, statuses } = await bomb(name);
  return upload(name, { body: bytes }, statuses);
}

function ofOptions(random: Random): Case {
  const { name, options, statuses } = anyOptions(random);
  if (fitQuery(options) && random.chance(0.5)) {
    const query = new URLSearchParams(
      Object.entries(options).map(([key, value]) => [key, String(value)]),
    );
    return upload(name, { body: PHOTO, query: String(query) }, statuses);
  }
  const image = btoa(String.fromCharCode(...PHOTO));
  const body = new TextEncoder().encode(JSON.stringify({ image, options }));
  return upload(name, { body, type: "application/json" }, statuses);
}

function ofBodies(random: Random): Case {
  const { name, body, type, statuses } = anyBody(random);
  return upload(name, { body, type }, statuses);
}

function ofWire(random: Random, deadlineMs: number): Case {
  return played(
    random.chance(0.05) ? slowClient(random, deadlineMs) : anyWire(random),
  );
}

function played(wire: ReturnType<typeof anyWire>): Case {
  return {
    name: wire.name,
    statuses: wire.statuses,
    send: ({ hostname, port }) => wire.play({ hostname, port: Number(port) }),
  };
}

interface Upload {
  body: Uint8Array<ArrayBuffer>;
  type?: string;
  query?: string;
}

/** A picture as raw bytes, in a form or in JSON. */
function wrap(random: Random, bytes: Uint8Array<ArrayBuffer>): Upload {
  const way = random.int(0, 9);
  if (way === 0) {
    const image = bytes.reduce(
      (text, byte) => text + String.fromCharCode(byte),
      "",
    );
    const body = new TextEncoder().encode(
      JSON.stringify({ image: btoa(image) }),
    );
    return { body, type: "application/json" };
  }
  const type = random.pick([
    "image/jpeg",
    "image/png",
    "image/webp",
    "text/html",
  ]);
  return { body: bytes, type };
}

function upload(
  name: string,
  { body, type = "image/jpeg", query = "" }: Upload,
  statuses: readonly number[],
): Case {
  return {
    name,
    statuses,
    async send(origin) {
      const response = await fetch(new URL(`/v1/analyze?${query}`, origin), {
        method: "POST",
        headers: { "content-type": type },
        body,
      });
      return { status: response.status, body: await response.text() };
    },
  };
}
