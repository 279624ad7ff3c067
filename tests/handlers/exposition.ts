import assert from "node:assert/strict";

/** What a page of metrics says: each series' value under its name with its labels, sorted. */
export class Exposition {
  readonly types = new Map<string, string>();
  readonly series = new Map<string, number>();

  /** The value of a series; fails where there is none. */
  get(name: string, labels: Record<string, string> = {}): number {
    const value = this.series.get(seriesKey(name, Object.entries(labels)));
    assert.notEqual(value, undefined, `${name} ${JSON.stringify(labels)}`);
    return value!;
  }

  /** Every series of a name, as `label=value` texts. */
  labels(name: string): string[] {
    return [...this.series.keys()].filter((key) => key.startsWith(`${name}{`));
  }
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const VALUE = /^(NaN|[+-]Inf|[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?)$/i;
const SAMPLE = /^([^\s{]+)(?:\{(.*)\})? (\S+)$/;
/** `label="value"`, in which \\, \" and \n are the only escapes and no quote stands bare. */
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)/;

/**
 * Reads Prometheus's text format 0.0.4, and fails with whatever breaks it, or breaks the rules by
 * which `promtool check metrics` judges names: every metric with help and type before its samples,
 * in one block; counters named `_total`; base units; histograms whole and cumulative.
 */
export function readExposition(text: string): Exposition {
  assert.ok(text.endsWith("\n"), "the last line must end");
  const page = new Exposition(), done = new Set<string>();
  let family: { name: string; type?: string } | undefined;
  for (const line of text.slice(0, -1).split("\n")) {
    const [, keyword, name, rest] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ??
      [];
    if (keyword === "HELP") {
      close(page, family?.name);
      assert.match(name!, NAME);
      assert.ok(!done.has(name!), `${name} in two blocks`);
      assert.match(rest!, /^(?:[^\\]|\\[\\n])+$/, `help of ${name}`);
      done.add(name!);
      family = { name: name! };
    } else if (keyword === "TYPE") {
      assert.equal(name, family?.name, `type of ${name} after its help`);
      assert.equal(family!.type, undefined, `two types of ${name}`);
      assert.match(rest!, /^(counter|gauge|histogram)$/);
      assert.equal(rest === "counter", name!.endsWith("_total"), name!);
      assert.doesNotMatch(name!, /(_ms|_milliseconds|_mb|_info_total)$/);
      assert.doesNotMatch(name!, /counter|gauge|histogram/);
      family!.type = rest!;
      page.types.set(name!, rest!);
    } else {
      assert.ok(family?.type, `a sample before its type: ${line}`);
      readSample(page, line, family.name, family.type);
    }
  }
  close(page, family?.name);
  return page;
}

function readSample(
  page: Exposition,
  line: string,
  family: string,
  type: string,
): void {
  const [, name, set = "", value] = SAMPLE.exec(line) ?? [];
  assert.ok(name && value, `no sample: ${line}`);
  const own = type === "histogram"
    ? ["_bucket", "_sum", "_count"].map((suffix) => family + suffix)
    : [family];
  assert.ok(own.includes(name), `${name} in the block of ${family}`);
  assert.match(value, VALUE, line);
  const labels: [string, string][] = [];
  for (let rest = set; rest !== "";) {
    const match = LABEL.exec(rest);
    assert.ok(match, `labels: ${line}`);
    const [whole, label, text] = match;
    assert.ok(!label!.startsWith("__"), line);
    assert.ok(label !== "le" || name === `${family}_bucket`, line);
    labels.push([
      label!,
      text!.replace(/\\(.)/g, (_, letter) => letter === "n" ? "\n" : letter),
    ]);
    rest = rest.slice(whole!.length);
  }
  assert.equal(new Set(labels.map(([label]) => label)).size, labels.length);
  const key = seriesKey(name, labels);
  assert.ok(!page.series.has(key), `twice: ${line}`);
  const amount = /Inf$/.test(value)
    ? Infinity * (value[0] === "-" ? -1 : 1)
    : Number(value);
  if (type !== "gauge") assert.ok(amount >= 0 && amount < Infinity, line);
  page.series.set(key, amount);
}

/** Checks what only a whole block shows. */
function close(page: Exposition, family: string | undefined): void {
  if (family === undefined) return;
  const keys = [...page.series.keys()].filter((key) =>
    key.slice(0, key.indexOf("{")).replace(/_(bucket|sum|count)$/, "") ===
      family || key.startsWith(`${family}{`)
  );
  assert.ok(keys.length > 0, `${family} has no samples`);
  if (page.types.get(family) !== "histogram") return;
  const sets = new Map<string, [bound: number, count: number][]>();
  for (const key of keys) {
    if (!key.startsWith(`${family}_bucket{`)) continue;
    const labels: [string, string][] = JSON.parse(
      key.slice(key.indexOf("{") + 1, -1),
    );
    const le = labels.find(([label]) => label === "le")?.[1];
    assert.match(le ?? "", VALUE, key);
    const others = labels.filter(([label]) => label !== "le");
    const set = JSON.stringify(others);
    sets.set(set, [
      ...sets.get(set) ?? [],
      [le === "+Inf" ? Infinity : Number(le), page.series.get(key)!],
    ]);
  }
  assert.equal(
    keys.length,
    [...sets.values()].reduce((n, buckets) => n + buckets.length + 2, 0),
    `${family}: a sum and a count for each set of buckets`,
  );
  for (const [set, buckets] of sets) {
    for (const [index, [bound, count]] of buckets.entries()) {
      const [lower, fewer] = buckets[index - 1] ?? [-Infinity, 0];
      assert.ok(bound > lower && count >= fewer, `${family} ${set} ${bound}`);
    }
    const labels: [string, string][] = JSON.parse(set);
    const [bound, all] = buckets.at(-1)!;
    assert.equal(bound, Infinity, `${family} ${set} ends with +Inf`);
    assert.equal(page.series.get(seriesKey(`${family}_count`, labels)), all);
    const sum = page.series.get(seriesKey(`${family}_sum`, labels));
    assert.notEqual(sum, undefined, `${family}_sum ${set}`);
  }
}

function seriesKey(name: string, labels: [string, string][]): string {
  return `${name}{${JSON.stringify(labels.toSorted())}}`;
}
