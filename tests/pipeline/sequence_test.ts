import assert from "node:assert/strict";
import { Sequence } from "../../src/pipeline/sequence.ts";
import type { Analysis, AnalyzeOptions } from "../../src/types.ts";
import { altered, calm } from "../handlers/portrait.ts";
import { pipeline } from "../handlers/real.ts";
import { fixture } from "../testdata/pictures.ts";

const SMILE = fixture("astronaut.jpg"), CALM = await calm();
/** A film of a calm face that comes to smile. */
const SMILING = [CALM, CALM, CALM, CALM, await calm({ smile: 0.5 }), SMILE];
const FRAME_MS = 100;

/** Runs frames of one stream; what each was answered. */
async function run(
  frames: Uint8Array<ArrayBuffer>[],
  options: AnalyzeOptions = { attributes: ["actionUnits"] },
  { neutral, sequence = new Sequence(options) }: {
    neutral?: Uint8Array<ArrayBuffer>;
    sequence?: Sequence;
  } = {},
): Promise<Analysis[]> {
  const answers = [];
  for (const [index, frame] of frames.entries()) {
    answers.push(
      await sequence.next(
        1000 + index * FRAME_MS,
        (options, before) =>
          pipeline.analyze(frame.slice(), options, {
            ...before,
            ...(neutral ? { neutral } : {}),
          }),
      ),
    );
  }
  return answers;
}

function kinds(answers: Analysis[]): (string | undefined)[] {
  return answers.map(({ faces }) => faces[0]!.actionUnitReference);
}

Deno.test("a face's calm look becomes its reference, and serves when it smiles", async () => {
  const answers = await run(SMILING);
  const [none, running] = [Array(3).fill("none"), Array(3).fill("running")];
  assert.deepEqual(kinds(answers), [...none, ...running]);
  const smile = answers.at(-1)!.faces[0]!;
  assert.deepEqual(answers.map(({ faces }) => faces[0]!.trackId), [
    1,
    1,
    1,
    1,
    1,
    1,
  ]);
  const { faces: [beside] } = await pipeline.analyze(SMILE.slice(), {
    attributes: ["actionUnits"],
  }, { neutral: CALM });
  for (const [index, { au, score }] of smile.actionUnits!.entries()) {
    const same = beside!.actionUnits![index]!.score;
    assert.ok(Math.abs(score - same) < 0.15, `${au}: ${score}, ${same}`);
  }
  const lips = smile.actionUnits!.find(({ au }) => au === "AU12")!;
  assert.ok(lips.active);
});

Deno.test("what the reference needs and nobody asked for is not answered", async () => {
  const [only] = await run([CALM]);
  const { expression, quality, landmarks, consistency } = only!.faces[0]!;
  assert.deepEqual([expression, quality, landmarks, consistency], [
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  assert.equal("looks" in only!, false);
  const [all] = await run([CALM], { attributes: "all" });
  assert.ok(all!.faces[0]!.quality && all!.faces[0]!.consistency);
});

Deno.test("explain=difference needs no neutral in a stream", async () => {
  const answers = await run(SMILING, {
    attributes: ["actionUnits"],
    explain: "difference",
  });
  const changed = answers.map(({ faces }) => {
    const { values } = faces[0]!.explanation!.grid;
    return values.filter((value) => value > 0).length / values.length;
  });
  assert.equal(changed[0], 0);
  assert.ok(changed[3]! < 0.05 && changed[5]! > 0.1, `${changed}`);
});

Deno.test("a face that never looks calm has no reference", async () => {
  const answers = await run([SMILE, SMILE, SMILE, SMILE, SMILE]);
  assert.deepEqual(new Set(kinds(answers)), new Set(["none"]));
});

Deno.test("a given neutral serves its face on every frame, wherever that shows its own", async () => {
  const elsewhere = await altered((at, x, y) => at(x - 60, y - 40));
  const answers = await run(SMILING, undefined, { neutral: elsewhere });
  assert.deepEqual(new Set(kinds(answers)), new Set(["provided"]));
  const { faces: [alone] } = await pipeline.analyze(SMILE.slice(), {
    attributes: ["actionUnits"],
  }, { neutral: elsewhere });
  const last = answers.at(-1)!.faces[0]!.actionUnits!;
  for (const [index, { au, score }] of alone!.actionUnits!.entries()) {
    assert.ok(Math.abs(score - last[index]!.score) < 0.15, au);
  }
});

Deno.test("a face on a new track starts anew", async () => {
  const moved = await altered((at, x, y) => at(x - 180, y - 120));
  const answers = await run([CALM, CALM, CALM, CALM, moved]);
  assert.equal(kinds(answers).at(-2), "running");
  const { trackId, actionUnitReference } = answers.at(-1)!.faces[0]!;
  assert.deepEqual([trackId, actionUnitReference], [2, "none"]);
});

Deno.test("a cut to somebody else on the same track starts anew", async () => {
  const other = await calm({
    light: (value, x) => value * (x < 225 ? 0.15 : 1.1),
  });
  const sequence = new Sequence({ attributes: ["actionUnits", "landmarks"] });
  const answers = await run([CALM, CALM, CALM, CALM, other, CALM], undefined, {
    sequence,
  });
  assert.deepEqual(answers.map(({ faces }) => faces[0]!.trackId), [
    1,
    1,
    1,
    1,
    1,
    1,
  ]);
  assert.deepEqual(kinds(answers).slice(3), ["running", "none", "none"]);
});

Deno.test("nothing of a face is kept after the end, not even of a frame under way", async () => {
  const sequence = new Sequence({ attributes: ["actionUnits"] });
  await run([CALM, CALM], undefined, { sequence });
  assert.equal(sequence.remembered, 1);
  sequence.end();
  assert.equal(sequence.remembered, 0);
  await run([CALM], undefined, { sequence });
  assert.equal(sequence.remembered, 0);
});
