import type { AnalyzeOptions } from "../types.ts";
import { MienError } from "./errors.ts";

const RANGES = {
  maxFaces: [1, 100],
  minDetectionConfidence: [0, 1],
  minConfidence: [0, 1],
  coverage: [0.5, 0.99],
} as const;

/**
 * Holds numbers against the contract's ranges, as the server does.
 *
 * @throws {MienError} `invalid_request`
 */
export function checkRanges(options: AnalyzeOptions): void {
  for (const [name, [least, most]] of Object.entries(RANGES)) {
    const value = options[name as keyof typeof RANGES];
    if (value === undefined) continue;
    const whole = name !== "maxFaces" || Number.isInteger(value);
    if (value >= least && value <= most && whole) continue;
    throw new MienError(
      "invalid_request",
      `${name} is ${value}: it must be ${
        name === "maxFaces" ? "a whole number " : ""
      }from ${least} to ${most}`,
    );
  }
}
