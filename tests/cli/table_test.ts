import assert from "node:assert/strict";
import { formatAnalysis } from "../../src/cli/table.ts";
import type { Analysis, Face } from "../../src/types.ts";

/** An answer with the given faces. */
function analysis(faces: Face[]): Analysis {
  return {
    requestId: "test",
    image: { width: 1920, height: 1280, orientation: 1, type: "image/jpeg" },
    faces,
    timing: {
      decodeMs: 8.04,
      detectMs: 5.26,
      alignMs: 0.4,
      classifyMs: 0.91,
      explainMs: 0,
      remoteMs: 0,
      queueMs: 0,
      totalMs: 14.61,
    },
  };
}

function face(more: Partial<Face> = {}): Face {
  const box = { x: 175.4, y: 59.6, width: 100, height: 130.2 };
  return {
    boundingBox: box,
    normalizedBoundingBox: box,
    detectionScore: 0.97,
    rollDegrees: 0,
    quality: { score: 0.9, brightness: 0.5, sharpness: 0.7, issues: [] },
    expression: {
      label: "happiness",
      score: 0.934,
      decision: "certain",
      scores: [{ label: "happiness", score: 0.934 }, {
        label: "neutral",
        score: 0.031,
      }],
    },
    provenance: {
      model: "expression_mini_xception",
      version: "1.0.0",
      sha256: "0".repeat(64),
      license: "MIT",
      backend: "wasm",
      input: "photo",
      escalated: false,
      fallback: null,
    },
    ...more,
  };
}

Deno.test("formatAnalysis() prints heading, columns, a row per face and timings", () => {
  const second = face({
    expression: {
      label: "fear",
      score: 0.4,
      decision: "uncertain",
      scores: [{ label: "fear", score: 0.4 }, {
        label: "surprise",
        score: 0.38,
      }],
    },
    quality: {
      score: 0.2,
      brightness: 0.1,
      sharpness: 0.1,
      issues: ["faceTooSmall", "tooDark"],
    },
  });
  assert.equal(
    formatAnalysis("photo.jpg", analysis([face(), second])),
    `photo.jpg  1920 x 1280  image/jpeg  2 faces
#  box             expression   score  decision   runner-up        quality
1  175,60 100x130  happiness   93.4 %  certain    neutral 3.1 %    good
2  175,60 100x130  fear        40.0 %  uncertain  surprise 38.0 %  too small, too dark
decode 8.0 | detect 5.3 | align 0.4 | classify 0.9 | total 14.6 ms | expression_mini_xception 1.0.0 (wasm)`,
  );
});

Deno.test("formatAnalysis() says no faces without an empty table", () => {
  assert.equal(
    formatAnalysis("empty.png", analysis([])),
    `empty.png  1920 x 1280  image/jpeg  no faces
decode 8.0 | detect 5.3 | align 0.4 | classify 0.9 | total 14.6 ms`,
  );
});

Deno.test("formatAnalysis() shows a dash for what was not asked for", () => {
  const { expression: _, quality: __, ...bare } = face();
  const row = formatAnalysis("a.png", analysis([bare])).split("\n")[2]!;
  assert.match(row, /^1 {2}175,60 100x130 +- +- +- +- +-$/);
});

Deno.test("formatAnalysis() uses colours only when asked, without moving columns", () => {
  const plain = formatAnalysis("a.png", analysis([face()]));
  const colored = formatAnalysis("a.png", analysis([face()]), { color: true });
  // deno-lint-ignore no-control-regex
  const escapes = /\x1b\[\d+m/g;
  assert.doesNotMatch(plain, escapes);
  assert.match(colored, escapes);
  assert.equal(colored.replace(escapes, ""), plain);
});

Deno.test("formatAnalysis() says 1 face", () => {
  assert.match(formatAnalysis("a.png", analysis([face()])), / 1 face\n/);
});

Deno.test("formatAnalysis() adds the active action units where there are any, and says when no neutral was given", () => {
  const unit = (au: string, active: boolean) => ({
    au,
    name: "",
    score: active ? 0.9 : 0.1,
    active,
  });
  const actionUnits = [
    unit("AU06", true),
    unit("AU09", false),
    unit("AU12", true),
  ];
  const text = formatAnalysis(
    "a.jpg",
    analysis([
      face({ actionUnits, actionUnitReference: "provided" }),
      face({ actionUnits: [unit("AU09", false)], actionUnitReference: "none" }),
    ]),
  );
  assert.match(text, /quality +action units\n/);
  assert.match(text, /good +AU06 AU12\n/);
  assert.match(text, /good +none \(no neutral\)\n/);
});
