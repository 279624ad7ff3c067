import { fixture } from "../testdata/pictures.ts";

/** One request of the mix, and the status it is to have. */
interface Call {
  path: string;
  body?: Uint8Array<ArrayBuffer>;
  status: number;
}

const FACE = fixture("astronaut.jpg");

/** The mix, in turn: photos with and without faces, every format, heatmaps, broken input, pages. */
const CALLS: readonly Call[] = [
  { path: "/v1/analyze", body: FACE, status: 200 },
  {
    path: "/v1/analyze?attributes=all&explain=evidence",
    body: FACE,
    status: 200,
  },
  { path: "/v1/analyze", body: fixture("rgba.png"), status: 200 },
  {
    path: "/v1/analyze?attributes=quality",
    body: fixture("coffee.jpg"),
    status: 200,
  },
  { path: "/v1/analyze", body: FACE.slice(0, 2000), status: 422 },
  { path: "/v1/analyze", body: FACE, status: 200 },
  { path: "/v1/analyze", body: fixture("lossy.webp"), status: 200 },
  {
    path: "/v1/analyze?explain=guidedBackprop&model=expression_mini_xception",
    body: FACE,
    status: 200,
  },
  { path: "/v1/analyze?maxFaces=0", body: FACE, status: 400 },
  { path: "/v1/models", status: 200 },
];

/** What became of the requests so far. */
export interface Tally {
  answered: number;
  /** 503: the machine was busier than when its capacity was taken. */
  refused: number;
  /** Any other status than the wanted one, or none. */
  failures: string[];
}

/** The mix against one server. */
export class Traffic {
  readonly tally: Tally = { answered: 0, refused: 0, failures: [] };
  readonly #origin: URL;
  #next = 0;

  /** `origin` is the server's address. */
  constructor(origin: URL) {
    this.#origin = origin;
  }

  /** Sends the mix's next request and counts its answer. */
  async send(): Promise<void> {
    const { path, body, status } = CALLS[this.#next++ % CALLS.length]!;
    try {
      const response = await fetch(
        new URL(path, this.#origin),
        body ? { method: "POST", body } : {},
      );
      await response.bytes();
      if (response.status === status) this.tally.answered++;
      else if (response.status === 503) this.tally.refused++;
      else this.tally.failures.push(`${path}: ${response.status}`);
    } catch (error) {
      this.tally.failures.push(`${path}: ${error}`);
    }
  }

  /** Sends so many requests, some always under way, and says how many a second that were. */
  async capacity(count: number, together: number): Promise<number> {
    const start = performance.now();
    let left = count;
    await Promise.all(Array.from({ length: together }, async () => {
      while (left-- > 0) await this.send();
    }));
    return count / (performance.now() - start) * 1000;
  }

  /** Sends so many requests a second, evenly, whether or not answers have come. */
  async steady(perSecond: number, ms: number): Promise<void> {
    const start = performance.now(), total = Math.floor(perSecond * ms / 1000);
    const underWay: Promise<void>[] = [];
    for (let sent = 0; sent < total; sent++) {
      const wait = start + sent / perSecond * 1000 - performance.now();
      if (wait > 0) await new Promise((done) => setTimeout(done, wait));
      underWay.push(this.send());
      if (underWay.length > 1000) await underWay.shift();
    }
    await Promise.all(underWay);
  }
}
