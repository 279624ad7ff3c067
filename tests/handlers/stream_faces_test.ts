import assert from "node:assert/strict";
import { fixture } from "../testdata/pictures.ts";
import { twoFaces } from "./collage.ts";
import { calm } from "./portrait.ts";
import { pipeline } from "./real.ts";
import { slowClock } from "./slow_clock.ts";
import { Client, LoopbackServer } from "./socket.ts";

slowClock();
const PHOTO = fixture("astronaut.jpg");

Deno.test("a real stream keeps ids, follows faces by their landmarks and strips what was not asked for", async () => {
  await using server = new LoopbackServer({ pipeline });
  await using client = await Client.open(server);
  const frames = [await twoFaces(), await twoFaces(), PHOTO, await twoFaces()];
  await pipeline.analyze(await twoFaces()); // a cold start may outlast a track
  const answers = [];
  for (const frame of frames) {
    client.send(frame);
    answers.push(await client.analysis());
  }
  const [first, second, , last] = answers;
  assert.ok(first!.timing.detectMs > 0);
  assert.deepEqual(first!.faces.map(({ trackId }) => trackId), [1, 2]);
  assert.deepEqual(second!.faces.map(({ trackId }) => trackId), [1, 2]);
  assert.equal(last!.faces.length, 2);
  for (const { landmarks, expression } of second!.faces) {
    assert.equal(landmarks, undefined);
    assert.ok(expression);
  }
});

Deno.test("analyze() with follow finds the same faces without the detector, and detects where one is lost", async () => {
  const options = { attributes: ["expression", "landmarks"] as const };
  const run = async (bytes: Uint8Array<ArrayBuffer>, follow = found.faces) =>
    await pipeline.analyze(bytes.slice(), {
      attributes: [...options.attributes],
    }, { follow });
  const found = await pipeline.analyze(PHOTO.slice(), {
    attributes: [...options.attributes],
  });
  const again = await run(PHOTO);
  assert.equal(again.timing.detectMs, 0);
  assert.equal(again.faces.length, 1);
  const [was, is] = [found.faces[0]!, again.faces[0]!];
  const side = was.boundingBox.width;
  for (const name of ["rightEye", "leftEye", "noseTip"] as const) {
    const [a, b] = [was.landmarks![name], is.landmarks![name]];
    assert.ok(Math.hypot(a.x - b.x, a.y - b.y) < 0.03 * side, name);
  }
  assert.ok(Math.abs(was.boundingBox.x - is.boundingBox.x) < 0.05 * side);
  assert.equal(is.expression!.label, was.expression!.label);

  const elsewhere = found.faces.map((face) => ({
    ...face,
    landmarks: Object.fromEntries(
      Object.entries(face.landmarks!).map(([name, { x, y }]) => [name, {
        x: x + 2.5 * side,
        y: y + 2 * side,
      }]),
    ) as unknown as NonNullable<typeof face.landmarks>,
  }));
  const lost = await run(PHOTO, elsewhere);
  assert.ok(lost.timing.detectMs > 0);
  assert.deepEqual(lost.faces[0]!.boundingBox, was.boundingBox);
});

Deno.test("a real stream reads action units against the face's own calm look", async () => {
  await using server = new LoopbackServer({ pipeline });
  await using client = await Client.open(server, "attributes=actionUnits");
  const still = await calm(), references = [];
  while (references.at(-1) !== "running" && references.length < 20) {
    client.send(still);
    const { faces: [face], ...rest } = await client.analysis();
    assert.equal("looks" in rest, false);
    references.push(face!.actionUnitReference);
  }
  assert.deepEqual(references.slice(0, 3), ["none", "none", "none"]);
  assert.equal(references.at(-1), "running");
});
