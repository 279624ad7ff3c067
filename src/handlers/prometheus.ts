/** The media type of Prometheus's text format. */
export const PROMETHEUS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Label names and values of one series; values may hold anything. */
export type Labels = Readonly<Record<string, string>>;

/** One number of a family. */
export interface Sample {
  value: number;
  labels?: Labels;
  /** What a histogram's series is. */
  suffix?: "_bucket" | "_sum" | "_count";
}

/** All series of one name. */
export interface Family {
  name: string;
  type: "counter" | "gauge" | "histogram";
  help: string;
  samples: readonly Sample[];
}

/** Writes families in Prometheus's text format, version 0.0.4. */
export function writePrometheus(families: Iterable<Family>): string {
  const lines: string[] = [];
  for (const { name, type, help, samples } of families) {
    if (samples.length === 0) continue;
    lines.push(`# HELP ${name} ${escape(help)}`, `# TYPE ${name} ${type}`);
    for (const { value, labels = {}, suffix = "" } of samples) {
      const pairs = Object.entries(labels).map(([label, text]) =>
        `${label}="${escape(text).replaceAll('"', '\\"')}"`
      );
      const set = pairs.length > 0 ? `{${pairs.join(",")}}` : "";
      lines.push(`${name}${suffix}${set} ${number(value)}`);
    }
  }
  return lines.map((line) => `${line}\n`).join("");
}

function escape(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function number(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
}

/** Values by their labels, in the order in which they first came. */
class Series<Value> {
  readonly #all = new Map<string, { labels: Labels; value: Value }>();

  /** The entry of these labels, made where there is none. */
  at(labels: Labels, first: () => Value): { labels: Labels; value: Value } {
    const key = JSON.stringify(labels);
    const known = this.#all.get(key) ?? { labels, value: first() };
    this.#all.set(key, known);
    return known;
  }

  /** Every entry. */
  get all(): { labels: Labels; value: Value }[] {
    return [...this.#all.values()];
  }
}

/** A number that only rises. Labels must come from a bounded set: every new one is kept for good. */
export class Counter {
  readonly #facts: Pick<Family, "name" | "help">;
  readonly #series = new Series<number>();

  /** The name should end in `_total`. */
  constructor(name: string, help: string) {
    this.#facts = { name, help };
  }

  /** Adds to the series of these labels; 0 makes it appear. */
  add(labels: Labels = {}, amount = 1): void {
    this.#series.at(labels, () => 0).value += amount;
  }

  /** The numbers so far. */
  get family(): Family {
    return { ...this.#facts, type: "counter", samples: this.#series.all };
  }
}

/** How often values fell under each bound. Labels must come from a bounded set. */
export class Histogram {
  readonly #facts: Pick<Family, "name" | "help">;
  readonly #bounds: readonly number[];
  readonly #series = new Series<{ under: number[]; sum: number }>();

  /** `bounds` rise; a last one of infinity is added. */
  constructor(name: string, help: string, bounds: readonly number[]) {
    this.#facts = { name, help };
    this.#bounds = [...bounds, Infinity];
  }

  /** Adds one value. */
  observe(labels: Labels, value: number): void {
    const { value: series } = this.#series.at(labels, () => ({
      under: this.#bounds.map(() => 0),
      sum: 0,
    }));
    series.under[this.#bounds.findIndex((bound) => value <= bound)]! += 1;
    series.sum += value;
  }

  /** The counts so far, each bound's with all lower ones' as the format wants it. */
  get family(): Family {
    const samples = this.#series.all.flatMap(({ labels, value }): Sample[] => {
      let count = 0;
      const buckets = this.#bounds.map((bound, index): Sample => ({
        suffix: "_bucket",
        labels: { ...labels, le: number(bound) },
        value: count += value.under[index]!,
      }));
      return [
        ...buckets,
        { suffix: "_sum", labels, value: value.sum },
        { suffix: "_count", labels, value: count },
      ];
    });
    return { ...this.#facts, type: "histogram", samples };
  }
}
