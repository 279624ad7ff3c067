import assert from "node:assert/strict";
import { resolveOptions } from "../../src/pipeline/options.ts";
import type { AnalyzeOptions } from "../../src/types.ts";
import { models } from "./support.ts";

const auto = "expression_mini_xception";
const resolve = (options: AnalyzeOptions) =>
  resolveOptions(options, models, auto);

Deno.test("resolveOptions() fills in the contract's defaults", () => {
  assert.deepEqual(resolve({}), {
    attributes: ["expression"],
    model: auto,
    explain: "none",
    maxFaces: 20,
    minDetectionConfidence: 0.6,
    minConfidence: 0,
    input: "photo",
    route: "auto",
  });
});

Deno.test("resolveOptions() keeps what was asked", () => {
  const plan = resolve({
    model: auto,
    maxFaces: 3,
    minConfidence: 0.5,
    input: "crop",
  });
  assert.deepEqual([plan.maxFaces, plan.minConfidence, plan.input], [
    3,
    0.5,
    "crop",
  ]);
});

Deno.test("resolveOptions() expands all to what there are models for", () => {
  const { attributes } = resolve({ attributes: "all" });
  const tasks: string[] = models.specs.map((spec) => spec.task);
  for (const name of ["expression", "landmarks", "quality"] as const) {
    assert.ok(attributes.includes(name));
  }
  for (const name of ["actionUnits", "gender"] as const) {
    assert.equal(attributes.includes(name), tasks.includes(name));
  }
});

Deno.test("resolveOptions() refuses coverage for a model that is not calibrated for it", () => {
  assert.equal(resolve({ coverage: 0.9 }).coverage, 0.9);
  const { calibration: _, ...bare } = models.get(auto);
  const store = { ...models, find: () => bare, specs: [bare] };
  assert.throws(
    () =>
      resolveOptions(
        { coverage: 0.9 },
        store as unknown as typeof models,
        auto,
      ),
    /coverage is not calibrated/,
  );
});

const refused: [AnalyzeOptions, string, RegExp][] = [
  [{ model: "nobody" }, "unknown_model", /"nobody": use auto, expression_/],
  [{ model: "face_detection_yunet" }, "unknown_model", /face_detection_yunet/],
  [
    { explain: "guidedBackprop", model: "expression_mien" },
    "unsupported_option",
    /needs one of expression_mini_xception/,
  ],
  [{ route: "gpu" }, "gpu_unavailable", /route=gpu.*use auto or edge/],
  [
    { explain: "difference", model: auto },
    "unsupported_option",
    /explain=difference.*add actionUnits/,
  ],
];

/** The manifest with one model that only a GPU server has. */
const partly = Object.assign(Object.create(models), {
  find: (name: string) => {
    const spec = models.find(name);
    return name === "expression_mien" ? { ...spec, file: null } : spec;
  },
});

const ROUTES: [AnalyzeOptions, remote: string[], code: string | undefined][] = [
  [{ route: "gpu" }, [auto], undefined],
  [{ route: "gpu" }, ["expression_mien"], "gpu_unavailable"],
  [{ route: "gpu", explain: "evidence" }, [auto], undefined],
  [{ route: "gpu", explain: "guidedBackprop" }, [auto], "unsupported_option"],
  [{ explain: "guidedBackprop" }, [auto], undefined],
  [{ model: "expression_mien" }, ["expression_mien"], undefined],
  [{ model: "expression_mien" }, [auto], "unsupported_option"],
  [
    { model: "expression_mien", route: "edge" },
    ["expression_mien"],
    "unsupported_option",
  ],
];
for (const [options, remote, wanted] of ROUTES) {
  Deno.test(`resolveOptions() answers ${wanted} to ${JSON.stringify(options)} where ${remote} is remote`, () => {
    const resolve = () => resolveOptions(options, partly, auto, remote);
    if (wanted === undefined) return void resolve();
    assert.throws(resolve, (error: { code?: string }) => error.code === wanted);
  });
}

for (const [options, wanted, message] of refused) {
  Deno.test(`resolveOptions() refuses ${JSON.stringify(options)}`, () => {
    assert.throws(
      () => resolve(options),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, wanted);
        assert.match(error.message, message);
        return true;
      },
    );
  });
}
