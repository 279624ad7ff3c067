import type { Expression, ExpressionLabel } from "../types.ts";
import { type ModelSpec, servedLabels } from "./manifest.ts";
import type { Tensor } from "./postprocess.ts";
import { row } from "./reading.ts";

/** What a model tells beside the scores, as percentiles of the validation split. */
export function readCues(
  spec: ModelSpec,
  outputs: Record<string, Tensor>,
  face: number,
  label: ExpressionLabel,
): Pick<Expression, "certainty" | "typicality"> {
  const cues: Pick<Expression, "certainty" | "typicality"> = {};
  const { certainty, typicality } = spec.calibration ?? {};
  const importance = certainty && outputs[certainty.output];
  if (importance) {
    cues.certainty = percentile(certainty.quantiles, row(importance, face)[0]!);
  }
  const distances = typicality && outputs[typicality.output];
  if (distances) {
    const own = row(distances, face)[servedLabels(spec).indexOf(label)]!;
    cues.typicality = 1 - percentile(typicality.quantiles, own);
  }
  return cues;
}

/**
 * Where a value lies among those that the quantiles were taken of, 0 to 1: between two quantiles by
 * interpolation, on equal ones in their middle, and at most 0 or 1 beyond the ends.
 *
 * @param quantiles Ascending, at equal steps from the least value to the largest; at least two.
 */
export function percentile(
  quantiles: readonly number[],
  value: number,
): number {
  const last = quantiles.length - 1;
  if (value < quantiles[0]!) return 0;
  if (value > quantiles[last]!) return 1;
  const first = quantiles.findIndex((quantile) => quantile >= value);
  if (quantiles[first] === value) {
    const end = quantiles.findLastIndex((quantile) => quantile === value);
    return (first + end) / 2 / last;
  }
  const low = quantiles[first - 1]!, high = quantiles[first]!;
  return (first - 1 + (value - low) / (high - low)) / last;
}
