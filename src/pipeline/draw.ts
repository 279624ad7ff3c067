import type { BoundingBox, Explanation, Face, Point } from "../types.ts";
import { GLYPH, glyph, textWidth } from "./font.ts";
import type { RawImage } from "./image.ts";

type Rgb = readonly [number, number, number];

/** What to lay over a region: how much of it at a pixel's centre, and in which colour. */
interface Ink {
  /** 0 to 1. */
  cover: (x: number, y: number) => number;
  /** One colour, or the colour for a cover value. */
  color: Rgb | ((value: number) => Rgb);
  opacity: number;
}

const CERTAIN: Rgb = [94, 234, 212];
const UNCERTAIN: Rgb = [253, 203, 110];
const DARK: Rgb = [16, 20, 24];
/** Stops of a perceptual map: dark violet, magenta, orange, pale yellow; lightness only rises. */
const HEAT: readonly Rgb[] = [
  [20, 11, 53],
  [87, 16, 110],
  [156, 41, 100],
  [221, 81, 58],
  [251, 155, 6],
  [252, 255, 164],
];
const HEAT_OPACITY = 0.75;

/**
 * Returns a new RGB picture with each face's heatmap, box, five points and label on it.
 * Boxes and points must be in this picture's pixels; line and text sizes follow its longest side.
 */
export function drawFaces(image: RawImage, faces: readonly Face[]): RawImage {
  const canvas = toRgb(image);
  const longest = Math.max(image.width, image.height);
  const stroke = Math.max(1.5, longest / 480);
  const scale = Math.max(1, Math.round(longest / 640));
  for (const face of faces) {
    if (face.explanation) {
      drawHeatmap(canvas, face.boundingBox, face.explanation.grid);
    }
  }
  for (const face of faces) {
    const color = face.expression?.decision === "uncertain"
      ? UNCERTAIN
      : CERTAIN;
    drawBox(canvas, face.boundingBox, {
      stroke: stroke + 2,
      color: DARK,
      opacity: 0.45,
    });
    drawBox(canvas, face.boundingBox, { stroke, color, opacity: 1 });
    for (const point of Object.values(face.landmarks ?? {})) {
      drawDisc(canvas, point, {
        radius: stroke * 1.4 + 1,
        color: DARK,
        opacity: 0.6,
      });
      drawDisc(canvas, point, {
        radius: stroke * 1.4,
        color: [255, 255, 255],
        opacity: 1,
      });
    }
  }
  for (const face of faces) drawLabel(canvas, face, scale);
  return canvas;
}

/** What the plate over a face says: `happiness 93 %`, with `?` when uncertain. */
export function faceLabel(face: Face): string {
  if (!face.expression) return `face ${percent(face.detectionScore)}`;
  const { label, score, decision } = face.expression;
  return `${label} ${percent(score)}${decision === "uncertain" ? " ?" : ""}`;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

function toRgb({ data, width, height, channels }: RawImage): RawImage {
  const out = new Uint8Array(width * height * 3);
  for (let i = 0, at = 0; i < out.length; i += 3, at += channels) {
    out[i] = data[at]!;
    out[i + 1] = data[channels === 1 ? at : at + 1]!;
    out[i + 2] = data[channels === 1 ? at : at + 2]!;
  }
  return { data: out, width, height, channels: 3 };
}

/** Blends ink over the pixels of a region, cut to the picture. */
function paint(
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
function drawBox(
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

function drawDisc(
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

/** Text on a dark plate over the box; under its top edge, or pushed inside, where there is no room. */
function drawLabel(canvas: RawImage, face: Face, scale: number): void {
  const text = faceLabel(face);
  const pad = 3 * scale;
  const width = textWidth(text, scale) + 2 * pad;
  const height = GLYPH.height * scale + 2 * pad;
  const above = face.boundingBox.y - height - 2 * scale;
  const plate = {
    x: within(Math.round(face.boundingBox.x), canvas.width - width),
    y: within(
      Math.round(above < 0 ? face.boundingBox.y + 2 * scale : above),
      canvas.height - height,
    ),
    width,
    height,
  };
  paint(canvas, plate, { cover: () => 1, color: DARK, opacity: 0.82 });
  const color = face.expression?.decision === "uncertain" ? UNCERTAIN : CERTAIN;
  let x = plate.x + pad;
  for (const character of text) {
    glyph(character).forEach((row, y) => {
      for (let column = 0; column < GLYPH.width; column++) {
        if (!(row >> (GLYPH.width - 1 - column) & 1)) continue;
        const dot = { x: x + column * scale, y: plate.y + pad + y * scale };
        paint(canvas, { ...dot, width: scale, height: scale }, {
          cover: () => 1,
          color,
          opacity: 1,
        });
      }
    });
    x += GLYPH.advance * scale;
  }
}

/** Spreads the grid's cells over the box, smoothly between their centres; opaque where evidence is. */
function drawHeatmap(
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
  paint(canvas, box, { cover, color: heat, opacity: HEAT_OPACITY });
}

/** The map's colour for a value of 0 to 1. */
function heat(value: number): Rgb {
  const at = clamp(value) * (HEAT.length - 1);
  const index = Math.min(HEAT.length - 2, Math.floor(at));
  const [low, high] = [HEAT[index]!, HEAT[index + 1]!];
  const mix = (c: 0 | 1 | 2): number =>
    low[c] + (high[c] - low[c]) * (at - index);
  return [mix(0), mix(1), mix(2)];
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

/** `value`, moved into 0..most; 0 wins when there is no room. */
function within(value: number, most: number): number {
  return Math.max(0, Math.min(value, most));
}
