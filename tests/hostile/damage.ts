import { fixture, fixtureNames } from "../testdata/pictures.ts";
import { join } from "./bytes.ts";
import type { Random } from "./random.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const PICTURES = new Map(
  [...fixtureNames(), "astronaut.jpg", "coffee.jpg"].map((
    name,
  ) => [name, fixture(name)]),
);

/** A good picture of any format. */
export function anyPicture(random: Random): Bytes {
  return PICTURES.get(random.pick([...PICTURES.keys()]))!.slice();
}

/** Ways to break a picture; each gets a copy. */
const WAYS: Record<string, (bytes: Bytes, random: Random) => Bytes> = {
  truncated: (bytes, random) => bytes.slice(0, random.int(1, bytes.length - 1)),
  "bits flipped": (bytes, random) => flip(bytes, random, 0, bytes.length),
  "bits flipped in its header": (bytes, random) => flip(bytes, random, 0, 200),
  "bytes overwritten": (bytes, random) => {
    const from = random.int(2, bytes.length - 1);
    const to = from + random.int(1, bytes.length);
    return bytes.fill(random.pick([0, 0xff, random.int(0, 255)]), from, to);
  },
  "a piece repeated": (bytes, random) => {
    const [from, to] = range(bytes, random);
    const piece = bytes.slice(from, to);
    return join(bytes.slice(0, to), piece, piece, bytes.slice(to));
  },
  "a piece missing": (bytes, random) => {
    const [from, to] = range(bytes, random);
    return join(bytes.slice(0, from), bytes.slice(to));
  },
  "noise put in": (bytes, random) => {
    const at = random.int(0, bytes.length);
    const noise = random.bytes(random.int(1, 300));
    return join(bytes.slice(0, at), noise, bytes.slice(at));
  },
  "spliced with another": (bytes, random) => {
    const other = anyPicture(random);
    return join(
      bytes.slice(0, random.int(12, bytes.length)),
      other.slice(random.int(0, other.length - 1)),
    );
  },
};

/** A picture broken in one of many ways. */
export function damaged(random: Random): { name: string; bytes: Bytes } {
  const way = random.pick(Object.keys(WAYS));
  return { name: way, bytes: WAYS[way]!(anyPicture(random), random) };
}

function range(bytes: Bytes, random: Random): [from: number, to: number] {
  const from = random.int(0, bytes.length - 1);
  return [from, random.int(from + 1, bytes.length)];
}

function flip(bytes: Bytes, random: Random, from: number, to: number): Bytes {
  const last = Math.min(to, bytes.length) - 1;
  for (let i = random.int(1, 40); i > 0; i--) {
    const at = random.int(from, last);
    bytes[at]! ^= 1 << random.int(0, 7);
  }
  return bytes;
}
