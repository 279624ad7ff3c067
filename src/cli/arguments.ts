import { parseArgs } from "node:util";
import { ATTRIBUTES, EXPLANATIONS } from "../pipeline/options.ts";
import type { AnalyzeOptions, Attribute, ExplanationMethod } from "../types.ts";

/** What the command line asks for. */
export interface Arguments {
  files: string[];
  options: AnalyzeOptions;
  json: boolean;
  save?: string;
  /** The same person relaxed. */
  neutral?: string;
  help: boolean;
}

/** A command line that cannot be understood; the message says which part. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** What `--help` prints. */
export const USAGE = `Usage: deno task analyze <image...> [options]

Finds every face in JPEG, PNG or WebP photos and names its apparent expression.

  --attributes <list>     comma list of ${ATTRIBUTES.join(", ")}, or all
                          (default expression,landmarks,quality)
  --model <name>          expression model, or auto
  --explain <method>      heatmap per face: evidence, or another method the model has
  --min-confidence <x>    call it uncertain under this score, 0 to 1
  --max-faces <n>         1 to 100, largest first (default 20)
  --neutral <image>       the same person relaxed, as reference for action units
  --json                  one line of JSON per image instead of a table
  --save <out.png>        write the photo with boxes, points, labels and heatmap;
                          several images become out-1.png, out-2.png, ...
  -h, --help              this text`;

const METHODS: readonly string[] = ["none", ...EXPLANATIONS];

/**
 * Reads the command line.
 *
 * @throws {UsageError} on an unknown flag, a bad value or no image
 */
export function parseArguments(args: string[]): Arguments {
  const { values, positionals } = parse(args);
  const help = values.help ?? false;
  if (!help && positionals.length === 0) {
    throw new UsageError("Name at least one image");
  }
  let attributes = parseAttributes(
    values.attributes ?? "expression,landmarks,quality",
  );
  if (values.neutral !== undefined && !attributes.includes("actionUnits")) {
    attributes = attributes === "all" ? "all" : [...attributes, "actionUnits"];
  }
  const explain = values.explain ?? "none";
  if (!METHODS.includes(explain)) {
    throw new UsageError(
      `--explain is "${explain}": use one of ${METHODS.join(", ")}`,
    );
  }
  const options: AnalyzeOptions = {
    attributes,
    explain: explain as "none" | ExplanationMethod,
  };
  if (values.model !== undefined) options.model = values.model;
  if (values["min-confidence"] !== undefined) {
    options.minConfidence = parseNumber(
      "--min-confidence",
      values["min-confidence"],
      0,
      1,
    );
  }
  if (values["max-faces"] !== undefined) {
    options.maxFaces = parseNumber("--max-faces", values["max-faces"], 1, 100);
    if (!Number.isInteger(options.maxFaces)) {
      throw new UsageError("--max-faces takes a whole number");
    }
  }
  return {
    files: positionals,
    options,
    json: values.json ?? false,
    help,
    ...(values.save === undefined ? {} : { save: values.save }),
    ...(values.neutral === undefined ? {} : { neutral: values.neutral }),
  };
}

interface Parsed {
  values: {
    attributes?: string;
    model?: string;
    explain?: string;
    "min-confidence"?: string;
    "max-faces"?: string;
    neutral?: string;
    json?: boolean;
    save?: string;
    help?: boolean;
  };
  positionals: string[];
}

function parse(args: string[]): Parsed {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        attributes: { type: "string" },
        model: { type: "string" },
        explain: { type: "string" },
        "min-confidence": { type: "string" },
        "max-faces": { type: "string" },
        neutral: { type: "string" },
        json: { type: "boolean" },
        save: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new UsageError(message.split(". ")[0]!, { cause: error });
  }
}

function parseAttributes(list: string): Attribute[] | "all" {
  if (list === "all") return list;
  return list.split(",").map((name) => {
    const attribute = ATTRIBUTES.find((known) => known === name.trim());
    if (attribute) return attribute;
    throw new UsageError(
      `--attributes has "${name}": use ${ATTRIBUTES.join(", ")} or all`,
    );
  });
}

function parseNumber(
  flag: string,
  text: string,
  least: number,
  most: number,
): number {
  const value = Number(text);
  if (text.trim() !== "" && value >= least && value <= most) return value;
  throw new UsageError(`${flag} is "${text}": use ${least} to ${most}`);
}
