import type { PastedTile } from "./made_photos.ts";
import { percent, type Row } from "./report.ts";

/** What became of one pasted tile. */
export interface Outcome extends Omit<PastedTile, "pixels"> {
  /** Its label read from the bare tile. */
  bare: string;
  /** Its label read at the true square of the decoded photo. */
  cut: string;
  /** What the service answered; absent where it found no face in the square. */
  answered?: string;
}

/** Shares over some tiles; of the found ones unless said otherwise. */
export interface Summary {
  name: string;
  n: number;
  found: number;
  bareAll: number;
  bare: number;
  cut: number;
  served: number;
  /** `served - bare` in points. */
  points: number;
  /** Served, over all tiles, misses counted as wrong. */
  missesWrong: number;
  sameAsBare: number;
}

function share(rows: readonly Outcome[], right: (row: Outcome) => boolean) {
  return rows.filter(right).length / rows.length;
}

/** Found shares and accuracies of some tiles. */
export function summarize(name: string, rows: readonly Outcome[]): Summary {
  const found = rows.filter((row) => row.answered !== undefined);
  const served = share(found, (row) => row.answered === row.label);
  const bare = share(found, (row) => row.bare === row.label);
  return {
    name,
    n: rows.length,
    found: found.length / rows.length,
    bareAll: share(rows, (row) => row.bare === row.label),
    bare,
    cut: share(found, (row) => row.cut === row.label),
    served,
    points: (served - bare) * 100,
    missesWrong: share(rows, (row) => row.answered === row.label),
    sameAsBare: share(found, (row) => row.answered === row.bare),
  };
}

/** The heads of {@linkcode summaryRow}. */
export const SUMMARY_HEAD: Row = [
  "tiles",
  "n",
  "found",
  "bare, all",
  "bare, found",
  "cut at the true square, found",
  "**served, found**",
  "served - bare, points",
  "served, misses wrong",
  "same label as bare",
];

/** A summary as a row of a table. */
export function summaryRow(row: Summary): Row {
  return [
    row.name,
    row.n,
    percent(row.found),
    percent(row.bareAll),
    percent(row.bare),
    percent(row.cut),
    percent(row.served),
    row.points.toFixed(1),
    percent(row.missesWrong),
    percent(row.sameAsBare),
  ];
}
