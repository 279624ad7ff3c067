import type { Explanation, ExplanationMethod } from "../types.ts";
import { heatColor } from "./heat.ts";
import { encodePng } from "./png.ts";
import type { Tensor } from "./postprocess.ts";

/** Side of a rendered heatmap in pixels. */
const SIDE = 128;

/** Rows of a map and the face it lies on. */
export interface HeatmapInput {
  method: ExplanationMethod;
  label: string;
  /** The map's values, row by row. */
  values: ArrayLike<number>;
  width: number;
  height: number;
  /** The aligned face: gray samples 0 to 255, `side` x `side`. */
  face: Float32Array;
  side: number;
}

/** One class's evidence map of one face: `[batch, classes, height, width]` to rows of values. */
export function evidenceMap(
  evidence: Tensor,
  face: number,
  label: number,
): Pick<HeatmapInput, "values" | "width" | "height"> {
  const [, classes, height, width] = evidence.dims as [
    number,
    number,
    number,
    number,
  ];
  const start = (face * classes + label) * height * width;
  return {
    values: evidence.data.subarray(start, start + height * width),
    width,
    height,
  };
}

/** How much each cell or sample of one face matters, whatever the direction: `[batch, 1, height, width]`. */
export function planeMap(
  { data, dims }: Tensor,
  face: number,
): Pick<HeatmapInput, "values" | "width" | "height"> {
  const height = dims[2]!, width = dims[3]!, start = face * height * width;
  return {
    values: data.subarray(start, start + height * width).map(Math.abs),
    width,
    height,
  };
}

/** Scales a map to 0–1, to six decimals, and renders it over the face. */
export async function explain(input: HeatmapInput): Promise<Explanation> {
  const raw = Array.from(input.values);
  const min = Math.min(...raw), max = Math.max(...raw);
  const values = raw.map((value) =>
    max > min ? Math.round((value - min) / (max - min) * 1e6) / 1e6 : 0
  );
  const grid = { width: input.width, height: input.height, min, max, values };
  const png = await encodePng({
    data: render(values, input),
    width: SIDE,
    height: SIDE,
    channels: 3,
  });
  return {
    method: input.method,
    label: input.label,
    grid,
    image: `data:image/png;base64,${base64(png)}`,
  };
}

function base64(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) {
    text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  }
  return btoa(text);
}

function render(values: readonly number[], input: HeatmapInput): Uint8Array {
  const out = new Uint8Array(SIDE * SIDE * 3);
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      const heat = bilinear(values, input.width, input.height, x, y);
      const gray = bilinear(input.face, input.side, input.side, x, y);
      const share = 0.15 + 0.5 * heat;
      heatColor(heat).forEach((channel, c) => {
        out[(y * SIDE + x) * 3 + c] = Math.round(
          gray * (1 - share) + channel * share,
        );
      });
    }
  }
  return out;
}

/** The value of a grid under pixel (x, y) of the rendered square; half-pixel centres, clamped. */
function bilinear(
  grid: ArrayLike<number>,
  width: number,
  height: number,
  x: number,
  y: number,
): number {
  const fx = Math.min(width - 1, Math.max(0, (x + 0.5) * width / SIDE - 0.5));
  const fy = Math.min(height - 1, Math.max(0, (y + 0.5) * height / SIDE - 0.5));
  const x0 = Math.floor(fx), y0 = Math.floor(fy);
  const x1 = Math.min(width - 1, x0 + 1), y1 = Math.min(height - 1, y0 + 1);
  const dx = fx - x0, dy = fy - y0;
  const upper = grid[y0 * width + x0]! * (1 - dx) + grid[y0 * width + x1]! * dx;
  const lower = grid[y1 * width + x0]! * (1 - dx) + grid[y1 * width + x1]! * dx;
  return upper * (1 - dy) + lower * dy;
}
