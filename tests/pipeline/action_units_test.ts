import assert from "node:assert/strict";
import {
  inconsistencies,
  toActionUnits,
  UNIT_NAMES,
} from "../../src/pipeline/action_units.ts";
import type { Expression, ExpressionLabel } from "../../src/types.ts";
import { models } from "./support.ts";

const OUTPUT = {
  name: "logits",
  labels: ["AU06", "AU12"],
  thresholds: [0.3, 0.6],
  signatures: { happiness: ["AU06", "AU12"] },
};

function named(label: ExpressionLabel): Expression {
  return { label, score: 0.9, decision: "certain", scores: [] };
}

Deno.test("toActionUnits() names each unit and judges it by its own threshold", () => {
  const half = Math.log(0.5 / 0.5), third = Math.log(0.31 / 0.69);
  const [cheek, lip] = toActionUnits([third, half], OUTPUT);
  assert.deepEqual([cheek!.au, cheek!.name, cheek!.active], [
    "AU06",
    "cheek raiser",
    true,
  ]);
  assert.deepEqual([lip!.au, lip!.name, lip!.active], [
    "AU12",
    "lip corner puller",
    false,
  ]);
  assert.ok(Math.abs(cheek!.score - 0.31) < 1e-12);
});

Deno.test("inconsistencies() lists what goes with the expression and was not found", () => {
  const smile = toActionUnits([-5, 5], OUTPUT);
  assert.deepEqual(inconsistencies(named("happiness"), smile, OUTPUT), [
    { expression: "happiness", missing: ["AU06"] },
  ]);
  const both = toActionUnits([5, 5], OUTPUT);
  assert.deepEqual(inconsistencies(named("happiness"), both, OUTPUT), []);
  assert.deepEqual(inconsistencies(named("fear"), smile, OUTPUT), []);
});

Deno.test("every unit of the model has a name, a threshold within 0 and 1, and signatures speak of its units", () => {
  const { labels, thresholds, signatures } = models.forTask("actionUnits")
    .outputs[0]!;
  for (const [index, au] of labels!.entries()) {
    assert.ok(UNIT_NAMES[au], au);
    assert.ok(thresholds![index]! > 0 && thresholds![index]! < 1, au);
  }
  assert.deepEqual(signatures!.happiness, ["AU06", "AU12"]);
  for (const units of Object.values(signatures!)) {
    assert.ok(units.every((au) => labels!.includes(au)));
  }
});
