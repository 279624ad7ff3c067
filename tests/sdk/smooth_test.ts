import assert from "node:assert/strict";
import {
  smooth,
  type Smoothed,
  type SmoothOptions,
} from "../../src/sdk/smooth.ts";
import type { ExpressionLabel, Face, Point, Score } from "../../src/types.ts";
import { random } from "../pipeline/support.ts";

const FRAME_MS = 40;

interface Wanted {
  size?: number;
  landmarks?: boolean;
  scores?: Partial<Record<ExpressionLabel, number>>;
}

/** A face around a point, its five points where a face has them. */
function face({ x, y }: Point, wanted: Wanted = {}): Face {
  const { size = 100, landmarks = true } = wanted;
  const at = (dx: number, dy: number) => ({
    x: x + dx * size,
    y: y + dy * size,
  });
  const box = { x: x - size / 2, y: y - size / 2, width: size, height: size };
  const made: Face = {
    boundingBox: box,
    normalizedBoundingBox: {
      x: box.x / 1000,
      y: box.y / 500,
      width: size / 1000,
      height: size / 500,
    },
    detectionScore: 0.9,
    rollDegrees: 0,
    provenance: {
      model: "m",
      version: "1.0.0",
      sha256: "0".repeat(64),
      license: "MIT",
      backend: "wasm",
      input: "photo",
      escalated: false,
      fallback: null,
    },
  };
  if (landmarks) {
    made.landmarks = {
      rightEye: at(-0.2, -0.15),
      leftEye: at(0.2, -0.15),
      noseTip: at(0, 0.05),
      rightMouthCorner: at(-0.15, 0.25),
      leftMouthCorner: at(0.15, 0.25),
    };
  }
  if (wanted.scores) {
    const scores = Object.entries(wanted.scores).map(([label, score]) => ({
      label,
      score,
    })).sort((a, b) => b.score - a.score) as Score<ExpressionLabel>[];
    made.expression = { ...scores[0]!, decision: "certain", scores };
  }
  return made;
}

/** Frames in a row, 40 ms apart; what each was answered. */
function run(
  frames: Face[][],
  options: Partial<SmoothOptions> = {},
): Smoothed[] {
  const answers: Smoothed[] = [];
  for (const [index, faces] of frames.entries()) {
    const state = answers.at(-1)?.state;
    answers.push(smooth(faces, {
      timestampMs: 5000 + index * FRAME_MS,
      ...(state ? { state } : {}),
      ...options,
    }));
  }
  return answers;
}

const CROSSINGS: [
  what: string,
  wanted: Wanted,
  hidden: (gap: number) => boolean,
][] = [
  ["both always seen", {}, () => false],
  ["one hidden behind the other where they overlap", {}, (gap) => gap < 110],
  ["without landmarks", { landmarks: false }, (gap) => gap < 110],
];

for (const [what, wanted, hidden] of CROSSINGS) {
  Deno.test(`smooth() keeps the ids of two faces that cross: ${what}`, () => {
    const noise = random(7), jitter = () => (noise() - 0.5) * 4;
    const truth: string[][] = [];
    const frames = Array.from({ length: 40 }, (_, t) => {
      const right = { x: 200 + 25 * t + jitter(), y: 250 + jitter() };
      const left = { x: 1175 - 25 * t + jitter(), y: 262 + jitter() };
      const seen: [string, Face][] = [["right", face(right, wanted)]];
      if (!hidden(Math.abs(left.x - right.x))) {
        seen.push(["left", face(left, wanted)]);
      }
      if (t % 2) seen.reverse(); // the order they come in must not matter
      truth.push(seen.map(([name]) => name));
      return seen.map(([, made]) => made);
    });
    const answers = run(frames);
    const ids = (t: number) =>
      Object.fromEntries(
        truth[t]!.map((
          name,
          index,
        ) => [name, answers[t]!.faces[index]!.trackId]),
      );
    assert.deepEqual(ids(0), { right: 1, left: 2 });
    assert.deepEqual(ids(39), { right: 1, left: 2 });
    for (let t = 0; t < 40; t++) assert.equal(ids(t).right, 1, `frame ${t}`);
  });
}

Deno.test("smooth() gives a face its id back after five lost frames, still or moving", () => {
  for (const speed of [0, 20]) {
    const at = (t: number) => face({ x: 200 + speed * t, y: 200 });
    const frames = Array.from(
      { length: 20 },
      (_, t) => t >= 8 && t < 13 ? [] : [at(t)],
    );
    const answers = run(frames);
    assert.deepEqual(answers[10]!.faces, []);
    assert.equal(answers[19]!.faces[0]!.trackId, 1, `speed ${speed}`);
  }
});

Deno.test("smooth() gives a new id after maxLostMs, and to a face elsewhere", () => {
  const here = face({ x: 200, y: 200 }), there = face({ x: 600, y: 200 });
  const late = run([[here], [], [], [here]], { maxLostMs: 2 * FRAME_MS });
  assert.equal(late[3]!.faces[0]!.trackId, 2);
  assert.equal(late[3]!.state.tracks.length, 1);
  const elsewhere = run([[here], [there], [here, there]]);
  assert.equal(elsewhere[1]!.faces[0]!.trackId, 2);
  assert.deepEqual(elsewhere[2]!.faces.map(({ trackId }) => trackId), [1, 2]);
});

Deno.test("smooth() tells a near face from a far one at the same place", () => {
  const near = face({ x: 200, y: 200 }, { size: 200 });
  const far = face({ x: 215, y: 200 }, { size: 60 });
  const answers = run([[near, far], [far, near]]);
  assert.deepEqual(answers[1]!.faces.map(({ trackId }) => trackId), [2, 1]);
});

Deno.test("smooth() averages scores exponentially, and sorts them", () => {
  const sad = face({ x: 200, y: 200 }, { scores: { sadness: 1, anger: 0 } });
  const angry = face({ x: 200, y: 200 }, { scores: { sadness: 0, anger: 1 } });
  const [, second] = run([[sad], [angry]], { timeConstantMs: 100 });
  const share = Math.exp(-FRAME_MS / 100);
  const { scores } = second!.faces[0]!.expression!;
  assert.ok(Math.abs(scores[0]!.score - share) < 1e-12);
  assert.ok(Math.abs(scores[1]!.score - (1 - share)) < 1e-12);
  assert.deepEqual(scores.map(({ label }) => label), ["sadness", "anger"]);
  const [, raw] = run([[sad], [angry]], { timeConstantMs: 0 });
  assert.deepEqual(raw!.faces[0]!.expression, angry.expression);
});

Deno.test("smooth() holds a label until another leads by the margin, then lets go", () => {
  const at = { x: 200, y: 200 };
  const flicker = Array.from({ length: 12 }, (_, t) => [
    face(at, {
      scores: t % 2
        ? { neutral: 0.54, sadness: 0.46 }
        : { neutral: 0.46, sadness: 0.54 },
    }),
  ]);
  const labels = (margin: number) =>
    new Set(
      run(flicker, { timeConstantMs: 0, switchMargin: margin }).map((
        { faces },
      ) => faces[0]!.expression!.label),
    );
  assert.deepEqual([...labels(0.1)], ["sadness"]);
  assert.equal(labels(0.05).size, 2);
  const change = [
    ...flicker,
    ...Array.from({ length: 20 }, () => [
      face(at, { scores: { neutral: 0.9, sadness: 0.1 } }),
    ]),
  ];
  const last = run(change).at(-1)!.faces[0]!.expression!;
  assert.equal(last.label, "neutral");
  assert.equal(last.score, last.scores[0]!.score);
});

Deno.test("smooth() decides certain or uncertain on the smoothed score", () => {
  const at = { x: 200, y: 200 };
  const frames = [
    [face(at, { scores: { neutral: 0.9, fear: 0.1 } })],
    [face(at, { scores: { neutral: 0.4, fear: 0.6 } })],
  ];
  const decisions = run(frames, { minConfidence: 0.7 }).map(({ faces }) =>
    faces[0]!.expression!.decision
  );
  assert.deepEqual(decisions, ["certain", "certain"]);
  const strict = run(frames, { minConfidence: 0.89 })[1]!.faces[0]!.expression!;
  assert.equal(strict.decision, "uncertain");
});

Deno.test("smooth() steadies boxes and points, and moves them with the face", () => {
  const frames = [200, 204, 200, 204, 300, 300, 300, 300].map((x) => [
    face({ x, y: 200 }),
  ]);
  const answers = run(frames, { timeConstantMs: 400 });
  const x = (t: number) => answers[t]!.faces[0]!.landmarks!.noseTip.x;
  assert.ok(x(1) > 200 && x(1) < 204);
  assert.ok(Math.abs(x(7) - 300) < 20);
  const { boundingBox, normalizedBoundingBox } = answers[7]!.faces[0]!;
  assert.ok(Math.abs(boundingBox.x / 1000 - normalizedBoundingBox.x) < 1e-9);
});

Deno.test("smooth() is pure: same answer twice, nothing given is changed, state is plain data", () => {
  const frames = [
    [face({ x: 200, y: 200 }, { scores: { neutral: 0.7, fear: 0.3 } })],
    [face({ x: 210, y: 200 }, { scores: { neutral: 0.2, fear: 0.8 } })],
  ];
  const copy = structuredClone(frames);
  const { state } = run(frames)[0]!;
  const kept = structuredClone(state);
  const once = smooth(frames[1]!, {
    timestampMs: 5040,
    state,
    minConfidence: 0.5,
  });
  const twice = smooth(frames[1]!, {
    timestampMs: 5040,
    state: JSON.parse(JSON.stringify(state)),
    minConfidence: 0.5,
  });
  assert.deepEqual(once, twice);
  assert.deepEqual(state, kept);
  assert.deepEqual(frames, copy);
});
