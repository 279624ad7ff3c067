import type { Analysis, Face, Score } from "../types.ts";

/** How a table looks. */
export interface TableOptions {
  /** ANSI colours. @default {false} */
  color?: boolean;
}

const HEADINGS = [
  "#",
  "box",
  "expression",
  "score",
  "decision",
  "runner-up",
  "quality",
];
const RIGHT_ALIGNED = new Set([0, 3]);
const ISSUES: Record<string, string> = {
  faceTooSmall: "too small",
  blurred: "blurred",
  extremePose: "extreme pose",
  tooDark: "too dark",
  overexposed: "overexposed",
  truncated: "cut off",
};
/** Columns that only stand where a face has them: heading, whether it has, what to write. */
const FURTHER: [string, (face: Face) => unknown, (face: Face) => string][] = [
  ["gender", (face) => face.gender, (face) => formatScore(face.gender)],
  ["action units", (face) => face.actionUnits, formatUnits],
];
const CODES = { bold: 1, dim: 2, green: 32, yellow: 33 };

/** One file's answer as lines for a terminal: a heading, a row per face, a line of timings. */
export function formatAnalysis(
  name: string,
  analysis: Analysis,
  { color = false }: TableOptions = {},
): string {
  const paint = (code: keyof typeof CODES, text: string): string =>
    color ? `\x1b[${CODES[code]}m${text}\x1b[0m` : text;
  const { image, faces } = analysis;
  const count = faces.length === 1 ? "1 face" : `${faces.length || "no"} faces`;
  const lines = [
    `${
      paint("bold", name)
    }  ${image.width} x ${image.height}  ${image.type}  ${count}`,
  ];
  if (faces.length > 0) {
    const further = FURTHER.filter(([, has]) => faces.some(has));
    const headings = [...HEADINGS, ...further.map(([heading]) => heading)];
    const rows = faces.map((face, index) => [
      ...toRow(face, index),
      ...further.map(([, , cell]) => cell(face)),
    ]);
    const widths = headings.map((heading, column) =>
      Math.max(heading.length, ...rows.map((row) => row[column]!.length))
    );
    lines.push(paint("dim", layOut(headings, widths).join("  ").trimEnd()));
    for (const row of rows) {
      const cells = layOut(row, widths);
      cells[4] = paint(row[4] === "certain" ? "green" : "yellow", cells[4]!);
      lines.push(cells.join("  ").trimEnd());
    }
  }
  lines.push(paint("dim", formatTiming(analysis)));
  return lines.join("\n");
}

function toRow(face: Face, index: number): string[] {
  const { x, y, width, height } = face.boundingBox;
  const { expression, quality } = face;
  return [
    String(index + 1),
    `${Math.round(x)},${Math.round(y)} ${Math.round(width)}x${
      Math.round(height)
    }`,
    expression?.label ?? "-",
    expression ? percent(expression.score) : "-",
    expression?.decision ?? "-",
    formatScore(expression?.scores[1]),
    quality
      ? quality.issues.map((issue) => ISSUES[issue] ?? issue).join(", ") ||
        "good"
      : "-",
  ];
}

/** The active units, and what they were read against. */
function formatUnits({ actionUnits, actionUnitReference }: Face): string {
  if (!actionUnits) return "-";
  const active = actionUnits.filter((unit) => unit.active).map((unit) =>
    unit.au
  );
  const against = actionUnitReference === "none" ? " (no neutral)" : "";
  return `${active.join(" ") || "none"}${against}`;
}

function formatScore(score: Score | undefined): string {
  return score ? `${score.label} ${percent(score.score)}` : "-";
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

function layOut(cells: readonly string[], widths: readonly number[]): string[] {
  return cells.map((cell, column) =>
    RIGHT_ALIGNED.has(column)
      ? cell.padStart(widths[column]!)
      : cell.padEnd(widths[column]!)
  );
}

/** Stages that took time, the total, and who answered. */
function formatTiming({ timing, faces }: Analysis): string {
  const stages = Object.entries(timing)
    .filter(([stage, value]) => stage !== "totalMs" && value > 0)
    .map(([stage, value]) => `${stage.slice(0, -2)} ${value.toFixed(1)}`);
  const provenance = faces[0]?.provenance;
  const model = provenance
    ? `${provenance.model} ${provenance.version} (${provenance.backend})`
    : "";
  return [...stages, `total ${timing.totalMs.toFixed(1)} ms`, model].filter(
    Boolean,
  ).join(" | ");
}
