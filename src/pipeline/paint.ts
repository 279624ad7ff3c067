import type { BoundingBox, Explanation, Point } from "../types.ts";
import { heatColor, type Rgb } from "./heat.ts";
import type { RawImage } from "./image.ts";

/** What to lay over a region: how much of it at a pixel's centre, and in which colour. */
export interface Ink {
  /** 0 to 1. */
  cover: (x: number, y: number) => number;
  /** One colour, or the colour for a cover value. */
  color: Rgb | ((value: number) => Rgb);
  opacity: number;
}

const HEAT_OPACITY = 0.75;

/** Blends ink over the pixels of a region, cut to the picture. */
export function paint(
  canvas: RawImage,
  region: BoundingBox,
  { cover, color, opacity }: Ink,
): void {
  const left = Math.max(0, Math.floor(region.x));
  const top = Math.max(0, Math.floor(region.y));
  const right = Math.min(canvas.width, Math.ceil(region.x + region.width));
  const bottom = Math.min(canvas.height, Math.ceil(region.y + region.height));
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const value = cover(x + 0.5, y + 0.5);
      if (!(value > 0)) continue;
      const ink = typeof color === "function" ? color(value) : color;
      const at = (y * canvas.width + x) * 3;
      for (let c = 0; c < 3; c++) {
        const under = canvas.data[at + c]!;
        canvas.data[at + c] = Math.round(
          under + (ink[c]! - under) * value * opacity,
        );
      }
    }
  }
}

/** A frame with rounded corners, centred on the box's edge, smooth to a fraction of a pixel. */
export function drawBox(
  canvas: RawImage,
  box: BoundingBox,
  { stroke, color, opacity }: { stroke: number; color: Rgb; opacity: number },
): void {
  const radius = Math.min(box.width, box.height) * 0.06;
  const halfWidth = box.width / 2 - radius;
  const halfHeight = box.height / 2 - radius;
  const [centerX, centerY] = [box.x + box.width / 2, box.y + box.height / 2];
  const cover = (x: number, y: number): number => {
    const dx = Math.abs(x - centerX) - halfWidth;
    const dy = Math.abs(y - centerY) - halfHeight;
    const outside = Math.hypot(Math.max(dx, 0), Math.max(dy, 0));
    const distance = Math.abs(outside + Math.min(Math.max(dx, dy), 0) - radius);
    return clamp(stroke / 2 - distance + 0.5);
  };
  paint(canvas, grow(box, stroke), { cover, color, opacity });
}

/** A filled circle, smooth to a fraction of a pixel. */
export function drawDisc(
  canvas: RawImage,
  { x, y }: Point,
  { radius, color, opacity }: { radius: number; color: Rgb; opacity: number },
): void {
  paint(canvas, grow({ x, y, width: 0, height: 0 }, radius + 1), {
    cover: (px, py) => clamp(radius - Math.hypot(px - x, py - y) + 0.5),
    color,
    opacity,
  });
}

/** Spreads the grid's cells over the box, smoothly between their centres; opaque where evidence is. */
export function drawHeatmap(
  canvas: RawImage,
  box: BoundingBox,
  grid: Explanation["grid"],
): void {
  const at = (column: number, row: number): number =>
    grid
      .values[
        within(row, grid.height - 1) * grid.width +
        within(column, grid.width - 1)
      ] ?? 0;
  const cover = (x: number, y: number): number => {
    const u = (x - box.x) / box.width * grid.width - 0.5;
    const v = (y - box.y) / box.height * grid.height - 0.5;
    const [column, row] = [Math.floor(u), Math.floor(v)];
    const [fx, fy] = [u - column, v - row];
    return clamp(
      (at(column, row) * (1 - fx) + at(column + 1, row) * fx) * (1 - fy) +
        (at(column, row + 1) * (1 - fx) + at(column + 1, row + 1) * fx) * fy,
    );
  };
  paint(canvas, box, { cover, color: heatColor, opacity: HEAT_OPACITY });
}

/** `value`, moved into 0..most; 0 wins when there is no room. */
export function within(value: number, most: number): number {
  return Math.max(0, Math.min(value, most));
}

function grow({ x, y, width, height }: BoundingBox, by: number): BoundingBox {
  return {
    x: x - by,
    y: y - by,
    width: width + 2 * by,
    height: height + 2 * by,
  };
}

function clamp(value: number): number {
  return Math.min(1, Math.max(0, value));
}
