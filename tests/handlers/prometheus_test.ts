import assert from "node:assert/strict";
import {
  Counter,
  Histogram,
  writePrometheus,
} from "../../src/handlers/prometheus.ts";
import { readExposition } from "./exposition.ts";

Deno.test("writePrometheus() writes help, type and samples", () => {
  const counter = new Counter("cups_total", "Cups of tea.");
  counter.add({ tea: "green" });
  counter.add({ tea: "black" }, 2.5);
  counter.add({ tea: "green" });
  assert.equal(
    writePrometheus([counter.family]),
    `# HELP cups_total Cups of tea.
# TYPE cups_total counter
cups_total{tea="green"} 2
cups_total{tea="black"} 2.5
`,
  );
});

Deno.test("writePrometheus() leaves out families without samples", () => {
  assert.equal(writePrometheus([new Counter("a_total", "None.").family]), "");
});

Deno.test("Histogram counts each value at its bound and above, bounds included", () => {
  const histogram = new Histogram("wait_seconds", "Waiting.", [0.1, 1]);
  for (const value of [0.05, 0.1, 0.5, 7]) histogram.observe({}, value);
  histogram.observe({ at: "night" }, 1);
  assert.equal(
    writePrometheus([histogram.family]),
    `# HELP wait_seconds Waiting.
# TYPE wait_seconds histogram
wait_seconds_bucket{le="0.1"} 2
wait_seconds_bucket{le="1"} 3
wait_seconds_bucket{le="+Inf"} 4
wait_seconds_sum 7.65
wait_seconds_count 4
wait_seconds_bucket{at="night",le="0.1"} 0
wait_seconds_bucket{at="night",le="1"} 1
wait_seconds_bucket{at="night",le="+Inf"} 1
wait_seconds_sum{at="night"} 1
wait_seconds_count{at="night"} 1
`,
  );
});

const ODD = ['a"b', "back\\slash", "two\nlines", 'x",y="z', "}", "ünï 🙂", ""];

for (const text of ODD) {
  Deno.test(`label values are escaped: ${JSON.stringify(text)} comes back as it was`, () => {
    const counter = new Counter("odd_total", `Help of\n${text}\\`);
    counter.add({ text, more: "1" });
    const page = readExposition(writePrometheus([counter.family]));
    assert.equal(page.get("odd_total", { text, more: "1" }), 1);
    assert.equal(page.series.size, 1);
  });
}

for (
  const [value, text] of [
    [NaN, "NaN"],
    [Infinity, "+Inf"],
    [-Infinity, "-Inf"],
    [1e21, "1e+21"],
    [1e-7, "1e-7"],
    [-0.5, "-0.5"],
  ] as const
) {
  Deno.test(`a value of ${text} is written so`, () => {
    const family = { name: "a", type: "gauge", help: "A." } as const;
    const page = writePrometheus([{ ...family, samples: [{ value }] }]);
    assert.ok(page.endsWith(`\na ${text}\n`), page);
    readExposition(page);
  });
}

const HEAD = "# HELP a_total A.\n# TYPE a_total counter\n";
const BUCKETS = "# HELP h H.\n# TYPE h histogram\n";
const BROKEN: [what: string, page: string][] = [
  ["a missing last newline", `${HEAD}a_total 1`],
  ["a sample without a type", "a_total 1\n"],
  ["type before help", "# TYPE a gauge\n# HELP a A.\na 1\n"],
  ["a counter without _total", "# HELP a A.\n# TYPE a counter\na 1\n"],
  [
    "a gauge with _total",
    "# HELP a_total A.\n# TYPE a_total gauge\na_total 1\n",
  ],
  [
    "a unit that is no base unit",
    "# HELP a_ms A.\n# TYPE a_ms gauge\na_ms 1\n",
  ],
  ["a negative counter", `${HEAD}a_total -1\n`],
  ["no value", `${HEAD}a_total\n`],
  ["a value that is none", `${HEAD}a_total one\n`],
  ["a timestamp", `${HEAD}a_total 1 1700000000000\n`],
  ["a bare quote", `${HEAD}a_total{x="a"b"} 1\n`],
  ["an unknown escape", `${HEAD}a_total{x="\\t"} 1\n`],
  ["a bad label name", `${HEAD}a_total{x-y="1"} 1\n`],
  ["a label twice", `${HEAD}a_total{x="1",x="2"} 1\n`],
  ["a series twice", `${HEAD}a_total{x="1"} 1\na_total{x="1"} 2\n`],
  ["a family without samples", `${HEAD}`],
  ["a family in two blocks", `${HEAD}a_total 1\n${HEAD}a_total{x="1"} 1\n`],
  ["a stranger in a block", `${HEAD}b_total 1\n`],
  ["a blank line", `${HEAD}\na_total 1\n`],
  [
    "buckets that do not add up",
    `${BUCKETS}h_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n`,
  ],
  ["no last bucket", `${BUCKETS}h_bucket{le="1"} 1\nh_sum 1\nh_count 1\n`],
  [
    "bounds out of order",
    `${BUCKETS}h_bucket{le="2"} 1\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n`,
  ],
  ["another count", `${BUCKETS}h_bucket{le="+Inf"} 1\nh_sum 1\nh_count 2\n`],
  ["no sum", `${BUCKETS}h_bucket{le="+Inf"} 1\nh_count 1\n`],
];

for (const [what, page] of BROKEN) {
  Deno.test(`the test's own parser refuses ${what}`, () => {
    assert.throws(() => readExposition(page), assert.AssertionError);
  });
}
