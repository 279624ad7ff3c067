import assert from "node:assert/strict";
import { evidenceMap, explain } from "../../src/pipeline/explain.ts";
import { heatColor } from "../../src/pipeline/heat.ts";

const face = new Float32Array(64 * 64).fill(100);

Deno.test("evidenceMap() cuts out one class of one face", () => {
  const data = Float32Array.from({ length: 2 * 3 * 4 }, (_, i) => i);
  const map = evidenceMap({ data, dims: [2, 3, 2, 2] }, 1, 2);
  assert.deepEqual({ ...map, values: Array.from(map.values) }, {
    values: [20, 21, 22, 23],
    width: 2,
    height: 2,
  });
});

Deno.test("explain() scales the map to 0–1 and keeps its range", async () => {
  const { grid } = await explain({
    method: "evidence",
    label: "fear",
    values: [-1, 0, 1, 3],
    width: 2,
    height: 2,
    face,
    side: 64,
  });
  assert.deepEqual(grid, {
    width: 2,
    height: 2,
    min: -1,
    max: 3,
    values: [0, 0.25, 0.5, 1],
  });
});

Deno.test("explain() of a flat map is all zero, not NaN", async () => {
  const { grid } = await explain({
    method: "evidence",
    label: "fear",
    values: [2, 2],
    width: 2,
    height: 1,
    face,
    side: 64,
  });
  assert.deepEqual(grid.values, [0, 0]);
});

Deno.test("heatColor() gets lighter with heat and clamps", () => {
  const luma = (heat: number) => {
    const [r, g, b] = heatColor(heat);
    return 0.299 * r + 0.587 * g + 0.114 * b;
  };
  for (let heat = 0; heat < 1; heat += 0.05) {
    assert.ok(luma(heat + 0.05) > luma(heat));
  }
  assert.deepEqual(heatColor(-1), heatColor(0));
  assert.deepEqual(heatColor(2), heatColor(1));
});
