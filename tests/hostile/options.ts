import { ATTRIBUTES, EXPLANATIONS } from "../../src/pipeline/options.ts";
import type { Random } from "./random.ts";

/** Options for a good photo, and the statuses they may get. */
export interface OptionsCase {
  name: string;
  options: Record<string, unknown>;
  statuses: readonly number[];
}

const OK = [200];
const BAD = [400];

/** Values of each option: served, and refused. */
const VALUES: Record<string, { good: unknown[]; bad: unknown[] }> = {
  maxFaces: {
    good: [1, 2, 99, 100],
    bad: [0, 101, -1, 1.5, 1e308, "", "many", "1;2", "٣", null, [], {}, true],
  },
  minDetectionConfidence: {
    good: [0, 1, 0.5, 1e-300, 5e-324, -0],
    bad: [
      -5e-324,
      1.0000001,
      1e308,
      "NaN",
      "Infinity",
      " ",
      null,
      [0.5],
      false,
    ],
  },
  minConfidence: {
    good: [0, 1, 0.25],
    bad: [-1, 2, "1e400", "0x", "½", {}],
  },
  coverage: {
    good: [0.5, 0.99, 0.9],
    bad: [0.49999, 0.991, 0, 1, "", "most", null],
  },
  attributes: {
    good: ["expression", "expression,quality", " landmarks , quality ", "all"],
    bad: ["", ",", "expression;quality", "EXPRESSION", "all,all", 7, null, [
      [],
    ]],
  },
  explain: {
    good: ["none", "evidence"],
    bad: ["", "Evidence", "none,evidence", 0, null, "__proto__"],
  },
  route: { good: ["auto", "edge"], bad: ["", "cpu", "edge ", 1, null] },
  input: { good: ["photo"], bad: ["", "url", "crop\0", null] },
  format: { good: ["mien"], bad: ["", "xml", 3] },
  model: { good: ["auto"], bad: ["", null, {}, "x".repeat(101)] },
};

/** Options that are well formed and yet not to be had, or only for some pictures. */
const UNAVAILABLE: OptionsCase[] = [
  ...["nobody", "face_detection_yunet", "../../etc/passwd", "constructor"].map(
    (model) => ({
      name: "an unknown model",
      options: { model },
      statuses: [404],
    }),
  ),
  ...EXPLANATIONS.map((explain) => ({
    name: `explain=${explain}`,
    options: { explain },
    statuses: [200, 422],
  })),
  ...ATTRIBUTES.map((attributes) => ({
    name: `attributes=${attributes}`,
    options: { attributes },
    statuses: [200, 422],
  })),
  ...["aws", "deepface", "human", "hume"].map((format) => ({
    name: `format=${format}`,
    options: { format },
    statuses: [200, 422],
  })),
  { name: "route=gpu", options: { route: "gpu" }, statuses: [200, 422, 503] },
];

/** Names nobody knows. */
const STRAY = [
  "maxfaces",
  "__proto__",
  "constructor",
  "",
  "image",
  "a".repeat(5000),
];

/** Options at, past and beside their limits. */
export function anyOptions(random: Random): OptionsCase {
  if (random.chance(0.15)) return random.pick(UNAVAILABLE);
  if (random.chance(0.15)) {
    const name = random.chance(0.5) ? random.pick(STRAY) : random.text(40);
    const options = Object.fromEntries([[name, random.text(20)]]);
    const known = name in VALUES && Object.hasOwn(VALUES, name);
    return {
      name: "an option that is none",
      options,
      statuses: known ? [200, 400] : BAD,
    };
  }
  const names = Object.keys(VALUES).filter(() => random.chance(0.3));
  const options: Record<string, unknown> = {};
  for (const name of names) options[name] = random.pick(VALUES[name]!.good);
  if (random.chance(0.5)) {
    return { name: "options at their limits", options, statuses: OK };
  }
  const spoilt = random.pick(Object.keys(VALUES));
  options[spoilt] = random.pick(VALUES[spoilt]!.bad);
  return { name: `a bad ${spoilt}`, options, statuses: BAD };
}

/** Whether options mean the same in a query string as in JSON. */
export function fitQuery(options: Record<string, unknown>): boolean {
  return Object.values(options).every((value) =>
    typeof value === "number" || typeof value === "string"
  );
}
