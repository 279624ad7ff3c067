import assert from "node:assert/strict";
import { analyzeCrops, type CroppedFaces } from "../../src/sdk/crops.ts";
import type { Analysis, Face, Timing } from "../../src/types.ts";

function timing(ms: number): Timing {
  return {
    decodeMs: ms,
    detectMs: ms,
    alignMs: ms,
    classifyMs: ms,
    explainMs: ms,
    remoteMs: ms,
    queueMs: ms,
    totalMs: ms,
  };
}

function face(x: number, input: "photo" | "crop"): Face {
  const box = { x, y: x, width: 10, height: 10 }, point = { x, y: x };
  return {
    boundingBox: box,
    normalizedBoundingBox: box,
    detectionScore: x / 100,
    rollDegrees: x,
    landmarks: {
      rightEye: point,
      leftEye: point,
      noseTip: point,
      rightMouthCorner: point,
      leftMouthCorner: point,
    },
    provenance: {
      model: "m",
      version: "1",
      sha256: "",
      license: "",
      backend: "wasm",
      input,
      escalated: false,
      fallback: null,
    },
  };
}

function found(count: number): CroppedFaces {
  return {
    image: { width: 100, height: 90, orientation: 1, type: "image/jpeg" },
    model: "m",
    timing: timing(5),
    faces: Array.from({ length: count }, (_, i) => ({
      face: face(i + 1, "photo"),
      crop: new Blob([String(i)]),
    })),
  };
}

/** Answers the crop whose text is `n` with score n, the later the sooner. */
async function answer(crop: Blob): Promise<Analysis> {
  const n = Number(await crop.text());
  await new Promise((done) => setTimeout(done, 20 - n));
  const gender = { label: "woman", score: n } as const;
  const { landmarks: _, ...read } = face(0, "crop"); // nobody asked for them
  return {
    requestId: `r${n}`,
    image: { width: 48, height: 48, orientation: 1, type: "image/png" },
    faces: [{ ...read, gender }],
    timing: timing(1),
  };
}

Deno.test("analyzeCrops() puts each answer where its face is, whatever comes first", async () => {
  const ids: string[] = [];
  const analysis = await analyzeCrops(found(9), async (crop, model) => {
    assert.equal(model, "m");
    const reply = await answer(crop);
    ids.push(reply.requestId);
    return reply;
  }, { landmarks: true });
  assert.notDeepEqual(ids, [...ids].sort());
  assert.equal(analysis.requestId, "r0");
  assert.deepEqual(analysis.image, found(0).image);
  analysis.faces.forEach((read, i) => {
    const here = face(i + 1, "photo");
    assert.equal(read.gender!.score, i);
    assert.deepEqual(read.boundingBox, here.boundingBox);
    assert.deepEqual(read.landmarks, here.landmarks);
    assert.equal(read.provenance.input, "crop");
  });
  assert.deepEqual(analysis.timing, timing(5 + 9));
});

Deno.test("analyzeCrops() gives landmarks only where they were asked for", async () => {
  const { faces } = await analyzeCrops(found(2), answer, { landmarks: false });
  assert.ok(faces.every((face) => !("landmarks" in face)));
});

Deno.test("analyzeCrops() has at most four crops on their way, and fails with the first that fails", async () => {
  let now = 0, most = 0;
  await analyzeCrops(found(12), async (crop) => {
    most = Math.max(most, ++now);
    const reply = await answer(crop);
    now--;
    return reply;
  }, { landmarks: false });
  assert.equal(most, 4);
  const error = new Error("refused");
  await assert.rejects(
    analyzeCrops(found(3), () => Promise.reject(error), { landmarks: false }),
    (thrown) => thrown === error,
  );
});
