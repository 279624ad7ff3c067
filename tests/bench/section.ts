import type { Contender } from "./contender.ts";
import type { Photo } from "./photos.ts";

/** A ratio for the head of the report. */
export interface Ratio {
  name: string;
  value: string;
  target: string;
}

/** What a section of the benchmark found. */
export interface Findings {
  title: string;
  ratios?: Ratio[];
  markdown: string;
  /** Figures by name for `--compare`; less is better unless the name says "per second". */
  figures: Record<string, number>;
  /** Everything measured. */
  data: unknown;
  /** SVG documents by name. */
  plots?: Record<string, string>;
}

/** What a section works with. */
export interface Bench {
  rounds: number;
  photos: readonly Photo[];
  /** Starts a contender, or gives the one already running. */
  contender(name: ContenderName): Promise<Contender>;
  progress(text: string): void;
}

/** Who can be asked. */
export type ContenderName =
  | "Mien"
  | "Mien, 1 Worker"
  | "Mien, 2 Workers"
  | "face-api"
  | "Human"
  | "native";

/** Runs `task` for every item in turn, `rounds` times: A B A B. The first, unmeasured round warms up. */
export async function interleave<T>(
  bench: Bench,
  title: string,
  items: readonly T[],
  task: (item: T, round: number) => Promise<void>,
): Promise<void> {
  for (let round = -1; round < bench.rounds; round++) {
    for (const [index, item] of items.entries()) {
      const done = round < 0 ? "warming up" : `${round + 1}/${bench.rounds}`;
      bench.progress(`${title}: ${done}, ${index + 1}/${items.length}`);
      await task(item, round);
    }
  }
}
