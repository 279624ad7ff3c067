/** Red, green and blue, 0 to 255. */
export type Rgb = readonly [number, number, number];

/** Dark blue, violet, orange, pale yellow: rising in lightness, readable without colour vision. */
const STOPS: readonly Rgb[] = [
  [13, 8, 135],
  [126, 3, 168],
  [204, 71, 120],
  [248, 149, 64],
  [240, 249, 33],
];

/** Colour of a heat of 0 to 1; what lies beyond counts as the nearer end. */
export function heatColor(heat: number): Rgb {
  const position = Math.min(1, Math.max(0, heat)) * (STOPS.length - 1);
  const index = Math.min(STOPS.length - 2, Math.floor(position));
  const share = position - index;
  const [low, high] = [STOPS[index]!, STOPS[index + 1]!];
  const mix = (c: 0 | 1 | 2) => low[c] * (1 - share) + high[c] * share;
  return [mix(0), mix(1), mix(2)];
}
