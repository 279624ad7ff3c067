import assert from "node:assert/strict";
import { decide, type Decision } from "../../src/pipeline/policy.ts";

const request = {
  route: "auto",
  onEdge: true,
  onGpu: true,
  escalateBelow: 0,
  budgetMs: 500,
} as const;
const health = { circuit: "closed", load: 0 } as const;

const edge: Decision = { backend: "edge", escalated: false, fallback: null };
const gpu: Decision = { backend: "gpu", escalated: false, fallback: null };
const escalated: Decision = { ...gpu, escalated: true };
const open: Decision = { ...edge, fallback: "circuit_open" };
const late: Decision = { ...edge, fallback: "timeout" };

const only = { onEdge: false };
const half = { escalateBelow: 0.5 };

const TABLE: [
  name: string,
  score: number | undefined,
  request: Partial<Parameters<typeof decide>[1]>,
  health: Partial<Parameters<typeof decide>[2]>,
  decision: Decision,
][] = [
  ["auto, nothing speaks for the GPU", undefined, {}, {}, edge],
  ["auto, model only there", undefined, only, {}, gpu],
  ["auto, queue half full", undefined, {}, { load: 0.5 }, edge],
  ["auto, queue more than half full", undefined, {}, { load: 0.51 }, gpu],
  [
    "auto, full, not on the GPU",
    undefined,
    { onGpu: false },
    { load: 1 },
    edge,
  ],
  [
    "auto, unread, would be doubtful",
    undefined,
    { escalateBelow: 1 },
    {},
    edge,
  ],
  ["auto, read, certain", 0.5, half, {}, edge],
  ["auto, read, doubtful", 0.49, half, {}, escalated],
  [
    "auto, read, doubtful, not on the GPU",
    0.2,
    { ...half, onGpu: false },
    {},
    edge,
  ],
  ["auto, read, never escalated", 0.01, {}, {}, edge],
  ["auto, read, load no longer counts", 0.9, half, { load: 1 }, edge],
  ["auto, model only there, open", undefined, only, { circuit: "open" }, open],
  ["auto, busy, open", undefined, {}, { load: 1, circuit: "open" }, open],
  ["auto, doubtful, open", 0.2, half, { circuit: "open" }, open],
  ["auto, certain, open", 0.9, half, { circuit: "open" }, edge],
  [
    "auto, open, nothing speaks for the GPU",
    undefined,
    {},
    { circuit: "open" },
    edge,
  ],
  ["auto, doubtful, half open", 0.2, half, { circuit: "half_open" }, escalated],
  ["auto, doubtful, no time left", 0.2, { ...half, budgetMs: 19 }, {}, late],
  ["auto, doubtful, just time", 0.2, { ...half, budgetMs: 20 }, {}, escalated],
  [
    "auto, only there, no time left",
    undefined,
    { ...only, budgetMs: -5 },
    {},
    late,
  ],
  ["gpu", undefined, { route: "gpu" }, {}, gpu],
  ["gpu, model only there", undefined, { route: "gpu", ...only }, {}, gpu],
  ["gpu, open", undefined, { route: "gpu" }, { circuit: "open" }, open],
  [
    "gpu, half open",
    undefined,
    { route: "gpu" },
    { circuit: "half_open" },
    gpu,
  ],
  ["gpu, no time left", undefined, { route: "gpu", budgetMs: 0 }, {}, late],
  ["edge", undefined, { route: "edge" }, {}, edge],
  ["edge, queue full", undefined, { route: "edge" }, { load: 1 }, edge],
  ["edge, doubtful", 0.1, { route: "edge", ...half }, {}, edge],
  [
    "edge, doubtful, open",
    0.1,
    { route: "edge", ...half },
    { circuit: "open" },
    edge,
  ],
];

for (const [name, score, wanted, state, decision] of TABLE) {
  Deno.test(`decide() ${name}: ${decision.backend}, ${decision.fallback}`, () => {
    assert.deepEqual(
      decide(
        score === undefined ? {} : { score },
        { ...request, ...wanted },
        { ...health, ...state },
      ),
      decision,
    );
  });
}
