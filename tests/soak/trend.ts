/** A straight line through points. */
export interface Trend {
  /** Rise of y per unit of x. */
  slope: number;
  /** y at x = 0. */
  start: number;
}

/**
 * The line of least squares.
 *
 * @throws {RangeError} with fewer than two different x
 */
export function trend(points: readonly (readonly [number, number])[]): Trend {
  const mean = (values: number[]) =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const x = mean(points.map(([x]) => x)), y = mean(points.map(([, y]) => y));
  let covariance = 0, variance = 0;
  for (const [px, py] of points) {
    covariance += (px - x) * (py - y);
    variance += (px - x) ** 2;
  }
  if (!(variance > 0)) {
    throw new RangeError("A trend needs two points apart: measure for longer");
  }
  const slope = covariance / variance;
  return { slope, start: y - slope * x };
}
