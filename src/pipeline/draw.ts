import type { Face } from "../types.ts";
import { GLYPH, glyph, textWidth } from "./font.ts";
import type { Rgb } from "./heat.ts";
import type { RawImage } from "./image.ts";
import { drawBox, drawDisc, drawHeatmap, paint, within } from "./paint.ts";

const CERTAIN: Rgb = [94, 234, 212];

const UNCERTAIN: Rgb = [253, 203, 110];

const DARK: Rgb = [16, 20, 24];

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
