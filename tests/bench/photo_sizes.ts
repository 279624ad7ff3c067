import { resized } from "./photos.ts";
import { median, show, table } from "./report.ts";
import {
  type Bench,
  type ContenderName,
  type Findings,
  interleave,
} from "./section.ts";

/** Longest sides: a small web picture to 24 megapixels, the most that is accepted. */
const SIDES = [640, 1280, 1920, 4000, 5700];
const NAMES: ContenderName[] = ["Mien", "face-api", "Human"];
/** The large ones take seconds in some. */
const MOST_ROUNDS = 5;

/** One photo of several faces at every size. */
export async function photoSizes(bench: Bench): Promise<Findings> {
  const crowd = bench.photos.reduce((a, b) => a.faces > b.faces ? a : b);
  const photos = [];
  for (const side of SIDES) photos.push(await resized(crowd, side));
  const ms = new Map<string, number[]>(), faces = new Map<string, number>();
  const tasks = photos.flatMap((photo) =>
    NAMES.map((name) => ({ photo, name }))
  );
  const rounds = Math.min(bench.rounds, MOST_ROUNDS);
  await interleave(
    { ...bench, rounds },
    "photo sizes",
    tasks,
    async ({ photo, name }, round) => {
      const reply = await (await bench.contender(name)).ask({
        photos: [photo.path],
      });
      const key = `${name}, ${photo.name}`;
      faces.set(key, reply.faces.length);
      if (round >= 0) ms.set(key, [...ms.get(key) ?? [], reply.ms]);
    },
  );
  const middle = (name: string, photo: string) =>
    median(ms.get(`${name}, ${photo}`)!);
  return {
    title:
      `One photo of ${crowd.faces} faces at several sizes, median ms (faces found)`,
    markdown: table(
      ["size", ...NAMES, "face-api / Mien", "Human / Mien"],
      photos.map(({ name: photo }) => [
        photo,
        ...NAMES.map((name) =>
          `${show(middle(name, photo))} (${faces.get(`${name}, ${photo}`)})`
        ),
        ...["face-api", "Human"].map((name) =>
          show(middle(name, photo) / middle("Mien", photo))
        ),
      ]),
    ),
    figures: Object.fromEntries(
      photos.map(({ name }) => [`ms at ${name}`, middle("Mien", name)]),
    ),
    data: { ms: Object.fromEntries(ms), faces: Object.fromEntries(faces) },
  };
}
