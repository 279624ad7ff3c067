import assert from "node:assert/strict";
import type { Analysis, Face } from "../../src/types.ts";
import { fixture } from "../testdata/pictures.ts";
import { faceCrop, twoFaces } from "./collage.ts";
import { altered } from "./portrait.ts";
import { analyze, handler } from "./real.ts";
import { base64, form, post, problem } from "./requests.ts";

const PHOTO = fixture("astronaut.jpg");

/** The answer to the portrait beside a neutral. */
async function beside(
  neutral: Uint8Array<ArrayBuffer>,
  query = "attributes=expression,actionUnits&explain=difference",
  image: Uint8Array<ArrayBuffer> = PHOTO,
): Promise<Analysis> {
  const body = form(image, { neutral: new Blob([neutral]) });
  const response = await post(handler, `/v1/analyze?${query}`, body);
  const text = await response.text();
  assert.equal(response.status, 200, text);
  return JSON.parse(text);
}

/** The map's raw values: how many thresholds each sample of the face passes. */
function passed({ explanation }: Face): number[] {
  const { min, max, values } = explanation!.grid;
  return values.map((value) => Math.round(min + value * (max - min)));
}

function share(counts: number[], rows: [number, number] = [0, 48]): number {
  const some = counts.slice(rows[0] * 48, rows[1] * 48);
  return some.filter((count) => count > 0).length / some.length;
}

const scores = (face: Face) => face.actionUnits!.map(({ score }) => score);

function apart(a: number[], b: number[]): number {
  return Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));
}

Deno.test("action units without a neutral say that there was none", async () => {
  const { faces: [face] } = await analyze(PHOTO, "attributes=actionUnits");
  assert.equal(face!.actionUnitReference, "none");
  assert.equal(face!.actionUnits!.length, 14);
  assert.match(face!.provenance.dataLicense!, /CK\+/);
});

Deno.test("the astronaut's smile: lips parted, corners pulled, and happiness agrees", async () => {
  const query = "attributes=expression,actionUnits";
  const { faces: [face] } = await analyze(PHOTO, query);
  const active = face!.actionUnits!.filter((unit) => unit.active)
    .map(({ au }) => au);
  assert.ok(active.includes("AU12") && active.includes("AU25"), `${active}`);
  assert.ok(!active.includes("AU09") && !active.includes("AU27"), `${active}`);
  assert.equal(face!.expression!.label, "happiness");
  const missing = face!.consistency!.flatMap((entry) => entry.missing);
  assert.deepEqual(missing, active.includes("AU06") ? [] : ["AU06"]);
});

Deno.test("a photo that is its own neutral has an empty map and the answer of no neutral", async () => {
  const plain = await analyze(PHOTO, "attributes=actionUnits");
  const { faces: [face] } = await beside(PHOTO);
  assert.equal(face!.actionUnitReference, "provided");
  assert.equal(share(passed(face!)), 0);
  assert.ok(apart(scores(face!), scores(plain.faces[0]!)) < 1e-5);
});

Deno.test("the same expression, moved and in other light, leaves an almost empty map", async () => {
  const neutral = await altered((at, x, y) => 20 + 0.7 * at(x + 5, y - 7));
  const { faces: [face] } = await beside(neutral);
  assert.ok(share(passed(face!)) < 0.05, `${share(passed(face!))}`);
});

Deno.test("a difference of the mouth shows in the lower half of the map", async () => {
  const neutral = await altered((at, x, y) =>
    x > 190 && x < 265 && y > 150 && y < 185 ? at(x, 145) : at(x, y)
  );
  const { faces: [face] } = await beside(neutral);
  const { method, label, grid } = face!.explanation!;
  assert.deepEqual([method, label, grid.width, grid.height], [
    "difference",
    "change",
    48,
    48,
  ]);
  const counts = passed(face!);
  assert.ok(counts.every((count) => count >= 0 && count <= 5));
  assert.ok(Math.max(...counts) >= 3);
  assert.ok(share(counts, [24, 48]) > 3 * share(counts, [0, 24]));
});

Deno.test("the neutral serves the largest face, the others have none", async () => {
  const { faces } = await beside(PHOTO, undefined, await twoFaces());
  assert.deepEqual(faces.map((face) => face.actionUnitReference), [
    "provided",
    "none",
  ]);
});

Deno.test("multipart and JSON give the same action units", async () => {
  const query = "attributes=actionUnits";
  const neutral = await altered((at, x, y) => at(x, y > 150 ? y - 6 : y));
  const one = await beside(neutral, query);
  const body = JSON.stringify({
    image: base64(PHOTO),
    neutral: base64(neutral),
  });
  const other = await post(handler, `/v1/analyze?${query}`, body, {
    "content-type": "application/json",
  });
  assert.deepEqual((await other.json()).faces, one.faces);
});

Deno.test("the same face in a crop that lies one or two samples off leaves an almost empty map", async () => {
  const box = { x: 170, y: 50, width: 120, height: 120 }, sample = 120 / 48;
  const crop = await faceCrop(box, 96);
  const query = "input=crop&attributes=actionUnits&explain=difference";
  const plain = await analyze(crop, "input=crop&attributes=actionUnits");
  for (const [dx, dy] of [[1, 0], [0, -1], [2, 1], [-2, 2]] as const) {
    const moved = { ...box, x: box.x + dx * sample, y: box.y + dy * sample };
    const { faces: [face] } = await beside(
      await faceCrop(moved, 96),
      query,
      crop,
    );
    assert.ok(share(passed(face!)) < 0.05, `${dx}, ${dy}`);
    assert.ok(apart(scores(face!), scores(plain.faces[0]!)) < 0.2);
  }
});

Deno.test("input=crop takes the neutral as a crop too", async () => {
  const box = { x: 170, y: 50, width: 120, height: 120 };
  const crop = await faceCrop(box, 64);
  const query = "input=crop&attributes=actionUnits&explain=difference";
  const { faces: [face] } = await beside(crop, query, crop);
  assert.equal(face!.actionUnitReference, "provided");
  assert.equal(share(passed(face!)), 0);
});

Deno.test("a neutral that cannot be used is named as what is wrong", async () => {
  const send = (neutral: Uint8Array<ArrayBuffer>) =>
    post(
      handler,
      "/v1/analyze?attributes=actionUnits",
      form(PHOTO, { neutral: new Blob([neutral]) }),
    );
  await problem(await send(fixture("coffee.jpg")), "no_face_in_neutral");
  const cut = fixture("rgba.png").slice(0, 200);
  await problem(await send(cut), "corrupt_image", /^neutral: /);
  await problem(
    await send(Uint8Array.of(1, 2, 3)),
    "unsupported_image",
    /^neutral: /,
  );
});
