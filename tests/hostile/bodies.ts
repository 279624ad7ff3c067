import { fixture } from "../testdata/pictures.ts";
import { join } from "./bytes.ts";
import type { Random } from "./random.ts";

/** A body, its type, and the statuses it may get. */
export interface BodyCase {
  name: string;
  body: Uint8Array<ArrayBuffer>;
  type: string;
  statuses: readonly number[];
}

const PHOTO = fixture("gray.jpg");
const IMAGE = btoa(String.fromCharCode(...PHOTO));
const BAD = [400];
const MB = 1 << 20;

/** JSON bodies, well formed or not. */
const JSON_BODIES: Record<
  string,
  { text: string; statuses?: readonly number[] }
> = {
  "nothing": { text: "" },
  "a number": { text: "1" },
  "null": { text: "null" },
  "an array": { text: "[]" },
  "an open object": { text: `{"image":"${IMAGE}"` },
  "two objects": { text: `{"image":"${IMAGE}"}{}` },
  "an image that is no text": { text: `{"image":[1,2,3]}` },
  "an empty image": { text: `{"image":""}` },
  "base64 that is none": { text: `{"image":"%%%%"}` },
  "base64 cut short": { text: `{"image":"${IMAGE.slice(0, -3)}"}` },
  "a link": { text: `{"image":"http://127.0.0.1/"}` },
  "a file": { text: `{"image":"file:///etc/passwd"}` },
  "a prototype": { text: `{"__proto__":{"image":"${IMAGE}"}}` },
  "a name too many": { text: `{"image":"${IMAGE}","url":"x"}` },
  "options that are none": { text: `{"image":"${IMAGE}","options":7}` },
  "options as text": { text: `{"image":"${IMAGE}","options":"{}"}` },
  "an option of a prototype": {
    text: `{"image":"${IMAGE}","options":{"__proto__":{"maxFaces":0}}}`,
    statuses: [200, 400],
  },
  "brackets a million deep": { text: "[".repeat(MB) },
  "objects 100,000 deep": { text: '{"a":'.repeat(100_000) },
  "options 10,000 deep": {
    text: `{"image":"${IMAGE}","options":${"[".repeat(1e4)}${"]".repeat(1e4)}}`,
  },
  "a number of 100,000 digits": {
    text: `{"image":"${IMAGE}","options":{"maxFaces":${"9".repeat(1e5)}}}`,
  },
  "a name given twice": {
    text: `{"image":"x!","image":"${IMAGE}"}`,
    statuses: [200],
  },
  "a data link": {
    text: `{"image":"data:image/png;base64,${IMAGE}"}`,
    statuses: [200],
  },
  "base64 with spaces": {
    text: `{"image":"${IMAGE.slice(0, 40)} \\n${IMAGE.slice(40)}"}`,
    statuses: [200],
  },
  "7 MB of base64": {
    text: `{"image":"${"A".repeat(7 * MB)}"}`,
    statuses: [415],
  },
  "9 MB of spaces": { text: " ".repeat(9 * MB), statuses: [413] },
};

/** A multipart part as written. */
function part(head: string, body: string | Uint8Array = ""): Uint8Array {
  return join(`--b\r\n${head}\r\n\r\n`, body, "\r\n");
}

const FILE = 'Content-Disposition: form-data; name="image"; filename="a.jpg"';
const OPTIONS = 'Content-Disposition: form-data; name="options"';
const END = "--b--\r\n";
const GOOD = part(FILE, PHOTO);

/** Multipart bodies; the boundary is `b`. */
const MULTIPART: Record<
  string,
  { body: Uint8Array; type?: string; statuses?: readonly number[] }
> = {
  "nothing": { body: join("") },
  "only an end": { body: join(END) },
  "no boundary": { body: join(GOOD, END), type: "multipart/form-data" },
  "another boundary": {
    body: join(GOOD, END),
    type: "multipart/form-data; boundary=c",
  },
  "an empty boundary": {
    body: join(GOOD, END),
    type: 'multipart/form-data; boundary=""',
  },
  "a long boundary": {
    body: join(GOOD, END),
    type: `multipart/form-data; boundary=${"b".repeat(5000)}`,
  },
  "no end": { body: GOOD, statuses: [200, 400] },
  "an end cut short": { body: join(GOOD, "--b"), statuses: [200, 400] },
  "a part without a head": { body: join(part("", PHOTO), END) },
  "a part without a name": {
    body: join(part("Content-Disposition: form-data", PHOTO), END),
  },
  "a name with a null": {
    body: join(part(FILE.replace("image", "image\0"), PHOTO), END),
  },
  "a name without an end": {
    body: join(part('Content-Disposition: form-data; name="image', PHOTO), END),
    statuses: [200, 400],
  },
  "an image that is text": {
    body: join(
      part('Content-Disposition: form-data; name="image"', "text"),
      END,
    ),
  },
  "an empty image": { body: join(part(FILE), END), statuses: [400, 415] },
  "two images": { body: join(GOOD, GOOD, END) },
  "an unknown part": {
    body: join(GOOD, part(FILE.replace("image", "other"), PHOTO), END),
  },
  "options that are no JSON": { body: join(GOOD, part(OPTIONS, "{"), END) },
  "options in a file": {
    body: join(GOOD, part(`${OPTIONS}; filename="o.json"`, "{}"), END),
    statuses: [200],
  },
  "a thousand parts": {
    body: join(
      ...Array.from(
        { length: 1000 },
        (_, i) => part(`Content-Disposition: form-data; name="p${i}"`),
      ),
      END,
    ),
  },
  "a head of 1 MB": {
    body: join(part(`${FILE}\r\nX: ${"x".repeat(MB)}`, PHOTO), END),
    statuses: [200, 400],
  },
  "multipart in multipart": {
    body: join(
      part(
        `${FILE}\r\nContent-Type: multipart/mixed; boundary=c`,
        join("--c\r\n\r\n", PHOTO, "\r\n--c--\r\n"),
      ),
      END,
    ),
    statuses: [400, 415],
  },
  "line feeds only": {
    body: join(`--b\n${FILE}\n\n`, PHOTO, "\n--b--\n"),
    statuses: [200, 400],
  },
};

/** Content types that a body may come with. */
const TYPES = [
  "",
  "image/jpeg",
  "text/plain",
  "application/json",
  "application/json; charset=utf-16",
  "multipart/form-data",
  "multipart/form-data; boundary=b",
  "application/x-www-form-urlencoded",
  "image/svg+xml",
  "*/*",
];

/** A body that is malformed, or well formed in an odd way. */
export function anyBody(random: Random): BodyCase {
  const kind = random.int(0, 3);
  if (kind === 0) {
    const name = random.pick(Object.keys(JSON_BODIES));
    const { text, statuses = BAD } = JSON_BODIES[name]!;
    return {
      name: `JSON: ${name}`,
      body: encode(text),
      type: "application/json",
      statuses,
    };
  }
  if (kind === 1) {
    const name = random.pick(Object.keys(MULTIPART));
    const { body, type = "multipart/form-data; boundary=b", statuses = BAD } =
      MULTIPART[name]!;
    return { name: `multipart: ${name}`, body: join(body), type, statuses };
  }
  if (kind === 2) {
    const type = random.pick(TYPES);
    const body = random.chance(0.5)
      ? random.bytes(random.int(0, 500))
      : encode(random.text(500));
    return { name: "noise of any type", body, type, statuses: [400, 415, 422] };
  }
  const whole = random.chance(0.5)
    ? {
      body: join(GOOD, part(OPTIONS, '{"maxFaces":3}'), END),
      type: "multipart/form-data; boundary=b",
    }
    : {
      body: encode(`{"image":"${IMAGE}","options":{"maxFaces":3}}`),
      type: "application/json",
    };
  for (let i = random.int(1, 5); i > 0; i--) {
    whole.body[random.int(0, whole.body.length - 1)] = random.int(0, 255);
  }
  return {
    name: "a form with bytes changed",
    ...whole,
    statuses: [200, 400, 413, 415, 422],
  };
}

function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}
