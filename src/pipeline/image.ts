/** A decoded picture: rows of interleaved 8-bit samples, gray (1), RGB (3) or RGBA (4). */
export interface RawImage {
  /** Samples, row by row from the top left. */
  data: Uint8Array | Uint8ClampedArray;
  /** Pixels. */
  width: number;
  /** Pixels. */
  height: number;
  /** Samples per pixel. */
  channels: 1 | 3 | 4;
}

/** Planes of a tensor; gray is Rec. 601 luma, 0.299 R + 0.587 G + 0.114 B. */
export type Color = "gray" | "RGB" | "BGR";

/**
 * Output pixel centre (u, v) to source pixel centre: `x = a u - b v + tx`, `y = b u + a v + ty`.
 * Pixel centres lie at whole numbers; a point in edge coordinates is 0.5 more.
 */
export interface Similarity {
  /** Scale times the cosine of the rotation. */
  a: number;
  /** Scale times its sine. */
  b: number;
  /** Shift in source pixels, across. */
  tx: number;
  /** Shift in source pixels, down. */
  ty: number;
}

/** The largest of 8, 4, 2 and 1 that leaves a side of `side` pixels at least `wanted` long. */
export function scaleDivisor(side: number, wanted: number): number {
  return [8, 4, 2].find((divisor) => Math.ceil(side / divisor) >= wanted) ?? 1;
}

/**
 * The picture at the smallest of 1/8, 1/4, 1/2 and 1 whose longest side reaches `longestSide`,
 * averaged over square blocks; those at the right and bottom edge over what is there.
 */
export function shrink(image: RawImage, longestSide: number): RawImage {
  const { data, width, height, channels } = image;
  const divisor = scaleDivisor(Math.max(width, height), longestSide);
  if (divisor === 1) return image;
  const across = Math.ceil(width / divisor), down = Math.ceil(height / divisor);
  const out = new Uint8Array(across * down * channels);
  const sums = new Uint32Array(across * channels);
  for (let row = 0; row < down; row++) {
    const top = row * divisor, bottom = Math.min(height, top + divisor);
    sums.fill(0);
    for (let y = top, from = top * width * channels; y < bottom; y++) {
      for (let x = 0, to = 0; x < width; to += channels) {
        for (const end = Math.min(width, x + divisor); x < end; x++) {
          for (let c = 0; c < channels; c++) sums[to + c]! += data[from++]!;
        }
      }
    }
    for (let column = 0, i = 0; column < across; column++) {
      const right = Math.min(width, (column + 1) * divisor);
      const count = (bottom - top) * (right - column * divisor);
      for (let c = 0; c < channels; c++, i++) {
        out[row * sums.length + i] = sums[i]! / count + 0.5;
      }
    }
  }
  return { data: out, width: across, height: down, channels };
}

/** Samples 0 to 255 of the blocks x0.. and y0.. of a picture, plane after plane. */
interface Planes {
  data: Float32Array;
  x0: number;
  y0: number;
  width: number;
  height: number;
}

/**
 * Samples a picture through a similarity into `[planes, height, width]`, 0 to 255.
 *
 * Where the mapping shrinks, the source is first averaged over exact `floor(scale)` square blocks
 * (those at the right and bottom edge over what is there), then sampled bilinearly. What lies
 * outside the picture is black.
 */
export function warp(
  image: RawImage,
  map: Similarity,
  width: number,
  height: number,
  color: Color,
): Float32Array {
  const factor = Math.max(1, Math.floor(Math.hypot(map.a, map.b) + 1e-9));
  const shift = (factor - 1) / 2;
  const reduced: Similarity = {
    a: map.a / factor,
    b: map.b / factor,
    tx: (map.tx - shift) / factor,
    ty: (map.ty - shift) / factor,
  };
  const planes = color === "gray" ? 1 : 3;
  const source = reduce(image, factor, reduced, width, height, color);
  const out = new Float32Array(planes * width * height);
  if (source.width <= 0 || source.height <= 0) return out;
  const local = {
    ...reduced,
    tx: reduced.tx - source.x0,
    ty: reduced.ty - source.y0,
  };
  if (local.b === 0) sampleStraight(source, local, out, width, height, planes);
  else sampleTurned(source, local, out, width, height, planes);
  return out;
}

/** The blocks of `factor` x `factor` pixels that the output touches, averaged. */
function reduce(
  image: RawImage,
  factor: number,
  map: Similarity,
  width: number,
  height: number,
  color: Color,
): Planes {
  const w = width - 1, h = height - 1;
  const xs = [0, map.a * w, -map.b * h, map.a * w - map.b * h].map((x) =>
    x + map.tx
  );
  const ys = [0, map.b * w, map.a * h, map.b * w + map.a * h].map((y) =>
    y + map.ty
  );
  const across = Math.ceil(image.width / factor),
    down = Math.ceil(image.height / factor);
  const x0 = Math.max(0, Math.floor(Math.min(...xs)));
  const y0 = Math.max(0, Math.floor(Math.min(...ys)));
  const x1 = Math.min(across, Math.floor(Math.max(...xs)) + 2);
  const y1 = Math.min(down, Math.floor(Math.max(...ys)) + 2);
  const out = { x0, y0, width: x1 - x0, height: y1 - y0 };
  if (out.width <= 0 || out.height <= 0) {
    return { ...out, data: new Float32Array(0) };
  }
  const area = out.width * out.height;
  const data = new Float32Array(area * (color === "gray" ? 1 : 3));
  const { channels, data: pixels } = image;
  const second = channels > 2 ? 1 : 0, third = channels > 2 ? 2 : 0;
  const red = color === "BGR" ? 2 * area : 0,
    blue = color === "BGR" ? 0 : 2 * area;
  if (factor === 1) {
    for (let y = 0, at = 0; y < out.height; y++) {
      let i = ((y0 + y) * image.width + x0) * channels;
      for (let x = 0; x < out.width; x++, at++, i += channels) {
        const r = pixels[i]!, g = pixels[i + second]!, b = pixels[i + third]!;
        if (color === "gray") {
          data[at] = 0.299 * r + 0.587 * g + 0.114 * b;
        } else {
          data[red + at] = r;
          data[area + at] = g;
          data[blue + at] = b;
        }
      }
    }
    return { ...out, data };
  }
  for (let by = 0; by < out.height; by++) {
    const top = (y0 + by) * factor,
      bottom = Math.min(image.height, top + factor);
    for (let bx = 0; bx < out.width; bx++) {
      const left = (x0 + bx) * factor,
        right = Math.min(image.width, left + factor);
      let r = 0, g = 0, b = 0;
      for (let y = top; y < bottom; y++) {
        const end = (y * image.width + right) * channels;
        for (
          let i = (y * image.width + left) * channels;
          i < end;
          i += channels
        ) {
          r += pixels[i]!;
          g += pixels[i + second]!;
          b += pixels[i + third]!;
        }
      }
      const count = (bottom - top) * (right - left), at = by * out.width + bx;
      if (color === "gray") {
        data[at] = (0.299 * r + 0.587 * g + 0.114 * b) / count;
      } else {
        data[red + at] = r / count;
        data[area + at] = g / count;
        data[blue + at] = b / count;
      }
    }
  }
  return { ...out, data };
}

/** Bilinear sampling of an unrotated map: the two source rows of a row are mixed first, then its columns. */
function sampleStraight(
  source: Planes,
  map: Similarity,
  out: Float32Array,
  width: number,
  height: number,
  planes: number,
): void {
  const { data, width: w, height: h } = source;
  const columns = new Int32Array(width), fractions = new Float64Array(width);
  let first = width, end = 0;
  for (let u = 0; u < width; u++) {
    const x = map.a * u + map.tx;
    columns[u] = Math.floor(x);
    fractions[u] = x - columns[u]!;
    if (x > -1 && x < w) [first, end] = [Math.min(first, u), u + 1];
  }
  /** One column of black on either side of the row. */
  const mixed = new Float64Array(w + 2);
  for (let plane = 0; plane < planes; plane++) {
    const base = plane * w * h;
    for (let v = 0; v < height; v++) {
      const y = map.a * v + map.ty, yi = Math.floor(y), fy = y - yi;
      const upper = yi >= 0 && yi < h ? 1 - fy : 0,
        lower = yi + 1 >= 0 && yi + 1 < h ? fy : 0;
      if (upper === 0 && lower === 0) continue;
      const row = base + (upper === 0 ? 0 : yi) * w,
        next = base + (lower === 0 ? 0 : yi + 1) * w;
      for (let x = 0; x < w; x++) {
        mixed[x + 1] = upper * data[row + x]! + lower * data[next + x]!;
      }
      const at = (plane * height + v) * width;
      for (let u = first; u < end; u++) {
        const x = columns[u]! + 1, fx = fractions[u]!;
        out[at + u] = (1 - fx) * mixed[x]! + fx * mixed[x + 1]!;
      }
    }
  }
}

/** Bilinear sampling of any similarity. */
function sampleTurned(
  source: Planes,
  map: Similarity,
  out: Float32Array,
  width: number,
  height: number,
  planes: number,
): void {
  const { data, width: w, height: h } = source;
  const area = w * h, size = width * height;
  for (let v = 0; v < height; v++) {
    for (let u = 0; u < width; u++) {
      const x = map.a * u - map.b * v + map.tx,
        y = map.b * u + map.a * v + map.ty;
      const xi = Math.floor(x), yi = Math.floor(y), fx = x - xi, fy = y - yi;
      if (xi < -1 || yi < -1 || xi >= w || yi >= h) continue;
      const left = xi >= 0 ? 1 - fx : 0, right = xi + 1 < w ? fx : 0;
      const upper = yi >= 0 ? 1 - fy : 0, lower = yi + 1 < h ? fy : 0;
      const row = (yi >= 0 ? yi : 0) * w, next = (yi + 1 < h ? yi + 1 : yi) * w;
      const here = xi >= 0 ? xi : 0, beside = xi + 1 < w ? xi + 1 : xi;
      for (let plane = 0; plane < planes; plane++) {
        const base = plane * area;
        out[plane * size + v * width + u] = upper *
            (left * data[base + row + here]! +
              right * data[base + row + beside]!) +
          lower *
            (left * data[base + next + here]! +
              right * data[base + next + beside]!);
      }
    }
  }
}
