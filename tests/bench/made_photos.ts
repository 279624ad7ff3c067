import type { BoundingBox } from "../../src/types.ts";

/** Where `make_photos.py` writes. */
export const PHOTOS = new URL(
  "../../models/training/cache/photos/",
  import.meta.url,
);

/** Side of a bare tile in pixels. */
export const TILE = 48;

/** A pasted tile: its square, centred on (x, y) and turned, and its label. */
export interface PastedTile {
  photo: string;
  label: string;
  x: number;
  y: number;
  side: number;
  /** That side as a share of the photo's longer one. */
  share: number;
  degrees: number;
  /** The tile before pasting, gray. */
  pixels: Uint8Array;
}

/** A pasted head: the face's box and which set its photo belongs to. */
export interface PastedHead {
  photo: string;
  set: string;
  side: number;
  box: BoundingBox;
}

/** Every pasted tile in order. */
export async function pastedTiles(): Promise<PastedTile[]> {
  const pixels = await Deno.readFile(new URL("tiles.bin", PHOTOS));
  return (await readCsv("truth.csv")).map((row, index) => ({
    photo: row.photo!,
    label: row.label!,
    x: Number(row.x),
    y: Number(row.y),
    side: Number(row.side),
    share: Number(row.share),
    degrees: Number(row.degrees),
    pixels: pixels.subarray(index * TILE ** 2, (index + 1) * TILE ** 2),
  }));
}

/** Every pasted head in order. */
export async function pastedHeads(): Promise<PastedHead[]> {
  return (await readCsv("small.csv")).map((row) => ({
    photo: row.photo!,
    set: row.set!,
    side: Number(row.side),
    box: {
      x: Number(row.x),
      y: Number(row.y),
      width: Number(row.width),
      height: Number(row.height),
    },
  }));
}

/** Groups rows by photo, in order. */
export function byPhoto<T extends { photo: string }>(
  rows: readonly T[],
): [string, T[]][] {
  return [...Map.groupBy(rows, (row) => row.photo)];
}

async function readCsv(name: string): Promise<Record<string, string>[]> {
  let text: string;
  try {
    text = await Deno.readTextFile(new URL(name, PHOTOS));
  } catch (cause) {
    const detail = "Cannot find the photos: run models/training/make_photos.py";
    throw new Error(detail, { cause });
  }
  const [head, ...lines] = text.trim().split(/\r?\n/).map((line) =>
    line.split(",")
  );
  return lines.map((line) =>
    Object.fromEntries(head!.map((name, column) => [name, line[column]!]))
  );
}
