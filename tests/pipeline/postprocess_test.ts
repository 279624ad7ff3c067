import assert from "node:assert/strict";
import {
  decodeDetections,
  interOcular,
  iou,
  labelSet,
  nms,
  rank,
  roll,
  softmax,
  type Tensor,
  toLandmarks,
} from "../../src/pipeline/postprocess.ts";

const points = toLandmarks((k) => ({ x: k, y: 0 }));

function outputs(width: number, height: number): Record<string, Tensor> {
  const made: Record<string, Tensor> = {};
  for (const stride of [8, 16, 32]) {
    const cells = width / stride * height / stride;
    for (
      const [name, length] of [["cls", 1], ["obj", 1], ["bbox", 4], [
        "kps",
        10,
      ]] as const
    ) {
      made[`${name}_${stride}`] = {
        data: new Float32Array(cells * length),
        dims: [1, cells, length],
      };
    }
  }
  return made;
}

Deno.test("decodeDetections() decodes a cell by hand", () => {
  const made = outputs(64, 32);
  const cell = 1 * 4 + 2; // stride 16: row 1, column 2
  made.cls_16!.data[cell] = 0.81;
  made.obj_16!.data[cell] = 1;
  made.bbox_16!.data.set([0.5, 0.25, Math.log(2), Math.log(3)], cell * 4);
  made.kps_16!.data.set([0, 0, 1, 0, 0.5, 0.5, 0, 1, 1, 1], cell * 10);
  const [face, ...others] = decodeDetections(made, 64, 2, 0.6);
  assert.equal(others.length, 0);
  assert.ok(Math.abs(face!.score - 0.9) < 1e-6);
  const { x, y, width, height } = face!.boundingBox;
  const expected = [(2.5 * 16 - 16) * 2, (1.25 * 16 - 24) * 2, 64, 96];
  [x, y, width, height].forEach((value, i) =>
    assert.ok(Math.abs(value - expected[i]!) < 1e-4)
  );
  assert.deepEqual(face!.landmarks.rightEye, { x: 64, y: 32 });
  assert.deepEqual(face!.landmarks.leftEye, { x: 96, y: 32 });
  assert.deepEqual(face!.landmarks.noseTip, { x: 80, y: 48 });
  assert.deepEqual(face!.landmarks.leftMouthCorner, { x: 96, y: 64 });
});

Deno.test("decodeDetections() drops scores under the minimum and what is not a number", () => {
  const made = outputs(32, 32);
  made.cls_8!.data[0] = 0.25;
  made.obj_8!.data[0] = 1;
  made.cls_8!.data[1] = NaN;
  made.obj_8!.data[1] = 1;
  assert.equal(decodeDetections(made, 32, 1, 0.5 + 1e-6).length, 0);
  assert.equal(decodeDetections(made, 32, 1, 0.5).length, 1);
});

Deno.test("iou() of equal, apart, touching and half-overlapping boxes", () => {
  const box = { x: 0, y: 0, width: 2, height: 2 };
  assert.equal(iou(box, box), 1);
  assert.equal(iou(box, { ...box, x: 5 }), 0);
  assert.equal(iou(box, { ...box, x: 2 }), 0);
  assert.ok(Math.abs(iou(box, { ...box, x: 1 }) - 1 / 3) < 1e-12);
});

function at(x: number, score: number) {
  const boundingBox = { x, y: 0, width: 10, height: 10 };
  return { boundingBox, score, landmarks: points };
}

Deno.test("nms() weighs the 3,000 best candidates and no more", () => {
  const apart = Array.from(
    { length: 4000 },
    (_, index) => at(index * 100, index / 4000),
  );
  const kept = nms(apart);
  assert.equal(kept.length, 3000);
  assert.equal(kept[0]!.score, 3999 / 4000);
  assert.equal(kept.at(-1)!.score, 1000 / 4000);
});

Deno.test("nms() keeps the best of overlapping boxes and every box apart", () => {
  const kept = nms([at(0, 0.7), at(1, 0.9), at(30, 0.6)]);
  assert.deepEqual(kept.map((face) => face.score), [0.9, 0.6]);
  assert.deepEqual(nms([]), []);
});

Deno.test("roll() is positive for a face turned clockwise", () => {
  const turned = {
    ...points,
    rightEye: { x: 0, y: 0 },
    leftEye: { x: 10, y: 10 },
  };
  assert.equal(roll(turned), 45);
  assert.ok(Math.abs(interOcular(turned) - Math.SQRT2 * 10) < 1e-12);
});

Deno.test("softmax() sums to 1, keeps order, survives large logits and widens with temperature", () => {
  const sharp = softmax([1000, 1001, 999]),
    soft = softmax([1000, 1001, 999], 10);
  for (const scores of [sharp, soft]) {
    assert.ok(Math.abs(scores.reduce((a, b) => a + b) - 1) < 1e-12);
    assert.ok(scores[1]! > scores[0]! && scores[0]! > scores[2]!);
  }
  assert.ok(soft[1]! < sharp[1]!);
});

Deno.test("rank() sorts by score and keeps the model's order in ties", () => {
  const ranked = rank(["a", "b", "c", "d"], [0.1, 0.4, 0.1, 0.4]);
  assert.deepEqual(ranked.map((entry) => entry.label), ["b", "d", "a", "c"]);
});

const thresholds = { "0.9": 0.8, "0.5": 0.2, "0.7": 0.4 };
const scores = rank(["a", "b", "c"], [0.5, 0.35, 0.15]);
const sets: [coverage: number, set: string[], why: string][] = [
  [0.5, [], "nothing reaches 0.8"],
  [0.8, ["a"], "half-way between 0.4 and 0.8 is 0.6"],
  [0.85, ["a", "b"], "0.7 lets 0.35 in"],
  [0.9, ["a", "b"], "0.8 keeps 0.15 out"],
  [0.99, ["a", "b"], "past the last calibrated rate its threshold holds"],
  [0.1, [], "before the first its threshold holds"],
];
for (const [coverage, set, why] of sets) {
  Deno.test(`labelSet() at ${coverage}: ${why}`, () => {
    assert.deepEqual(labelSet(scores, thresholds, coverage), set);
  });
}
