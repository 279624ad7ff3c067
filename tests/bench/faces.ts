import { iou } from "../../src/pipeline/postprocess.ts";
import type { Photo } from "./photos.ts";
import { table } from "./report.ts";
import type { Ratio } from "./section.ts";
import type { FoundFace, Reading } from "./serve.ts";

/** Overlap from which two boxes are of one face; different detectors frame faces differently. */
const SAME = 0.3;

/** What a comparison found. */
export interface Compared {
  ratio: Ratio;
  markdown: string;
  data: unknown;
}

/** Per photo: faces by eye, and of each contender how many it found, doubles, and what only it found. */
export function compareFaces(
  photos: readonly Photo[],
  readings: ReadonlyMap<string, Reading>,
  names: readonly [string, string],
): Compared {
  const overlaps = (a: FoundFace, b: FoundFace) => iou(a.box, b.box) >= SAME;
  const data = photos.map((photo) => {
    const [ours, theirs] = names.map((name) =>
      readings.get(`${name}, ${photo.name}`)?.faces ?? []
    ) as [FoundFace[], FoundFace[]];
    const alone = (faces: FoundFace[], others: FoundFace[]) =>
      faces.filter((face) => !others.some((other) => overlaps(face, other)));
    const doubles = (faces: FoundFace[]) =>
      faces.filter((face, index) =>
        faces.slice(0, index).some((other) => overlaps(face, other))
      ).length;
    return {
      photo: photo.name,
      byEye: photo.faces,
      both: ours.length - alone(ours, theirs).length,
      ours: ours.length,
      oursDoubled: doubles(ours),
      onlyOurs: alone(ours, theirs),
      theirs: theirs.length,
      theirsDoubled: doubles(theirs),
      onlyTheirs: alone(theirs, ours),
    };
  });
  const boxes = (faces: FoundFace[]) =>
    faces.map(({ box, score }) =>
      `${[box.x, box.y, box.width, box.height].map(Math.round).join(" ")} (${
        score.toFixed(2)
      })`
    ).join(", ") || "–";
  const sum = (of: (row: typeof data[0]) => number) =>
    data.reduce((total, row) => total + of(row), 0);
  const counts = `${sum((row) => row.ours)} of ${sum((row) => row.byEye)}, ` +
    `${names[1]} ${sum((row) => row.theirs)}`;
  const markdown = "Faces found; boxes (x y width height, score) that only " +
    `one of the two found are given to be looked at:\n\n` + table(
      [
        "photo",
        "by eye",
        "both",
        names[0],
        "doubles",
        "alone",
        names[1],
        "doubles",
        "alone",
      ],
      data.map((row) => [
        row.photo,
        row.byEye,
        row.both,
        row.ours,
        row.oursDoubled,
        boxes(row.onlyOurs),
        row.theirs,
        row.theirsDoubled,
        boxes(row.onlyTheirs),
      ]),
    );
  return {
    ratio: {
      name: "faces found in all photos, doubles and false ones included",
      value: counts,
      target: "at least as many real ones",
    },
    markdown,
    data,
  };
}
