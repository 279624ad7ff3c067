/**
 * `deno task analyze`: photos in, a table, JSON lines or pictures out.
 *
 * @module
 */
import { decode } from "../pipeline/decode.ts";
import { drawFaces } from "../pipeline/draw.ts";
import { readHeader } from "../pipeline/header.ts";
import {
  createPipeline,
  IMAGE_LIMITS,
  type Pipeline,
  PipelineError,
} from "../pipeline/mod.ts";
import { encodePng } from "../pipeline/png.ts";
import type { Analysis, Face, Landmarks } from "../types.ts";
import {
  type Arguments,
  parseArguments,
  USAGE,
  UsageError,
} from "./arguments.ts";
import { formatAnalysis } from "./table.ts";

/** A JPEG is decoded for `--save` at the smallest scale that reaches this. */
const SAVED_SIDE = 2400;

/** What the command needs from outside; tests hand in their own. */
export interface Terminal {
  open: () => Promise<Pick<Pipeline, "analyze" | "close">>;
  out: (text: string) => void;
  error: (text: string) => void;
  color: boolean;
}

const TERMINAL: Terminal = {
  open: openPipeline,
  out: console.log,
  error: console.error,
  color: Deno.stdout.isTerminal() && !Deno.noColor,
};

/** Runs the command and returns its exit code: 0, 1 when an image failed, 2 for a bad command line. */
export async function main(
  args: string[],
  terminal: Terminal = TERMINAL,
): Promise<number> {
  let wanted: Arguments;
  try {
    wanted = parseArguments(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    terminal.error(`${error.message}\n\n${USAGE}`);
    return 2;
  }
  if (wanted.help) {
    terminal.out(USAGE);
    return 0;
  }
  let neutral: Uint8Array | undefined;
  try {
    if (wanted.neutral) neutral = await Deno.readFile(wanted.neutral);
  } catch (error) {
    terminal.error(`${wanted.neutral}: ${describe(error)}`);
    return 1;
  }
  let pipeline: Pick<Pipeline, "analyze" | "close">;
  try {
    pipeline = await terminal.open();
  } catch (error) {
    terminal.error(`Cannot start: ${describe(error)}`);
    return 1;
  }
  let failed = false;
  try {
    for (const [index, file] of wanted.files.entries()) {
      try {
        const analysis = await pipeline.analyze(
          await Deno.readFile(file),
          wanted.options,
          neutral ? { neutral } : {},
        );
        const text = wanted.json
          ? JSON.stringify({ file, ...analysis })
          : formatAnalysis(file, analysis, { color: terminal.color });
        terminal.out(wanted.json || index === 0 ? text : `\n${text}`);
        if (wanted.save === undefined) continue;
        const path = outputPath(wanted.save, index, wanted.files.length);
        await savePicture(file, analysis, path);
        if (!wanted.json) terminal.out(`saved ${path}`);
      } catch (error) {
        failed = true;
        terminal.error(`${file}: ${describe(error)}`);
      }
    }
  } finally {
    await pipeline.close();
  }
  return failed ? 1 : 0;
}

/** `out.png` for one image; `out-1.png`, `out-2.png` for several. */
export function outputPath(save: string, index: number, count: number): string {
  if (count === 1) return save;
  const [, stem, extension] = /^(.*?)(\.png)?$/is.exec(save)!;
  return `${stem}-${index + 1}${extension ?? ".png"}`;
}

/** The face with its box and points in a picture of another scale. */
export function scaleFace(face: Face, scale: number): Face {
  const { x, y, width, height } = face.boundingBox;
  const boundingBox = {
    x: x * scale,
    y: y * scale,
    width: width * scale,
    height: height * scale,
  };
  if (!face.landmarks) return { ...face, boundingBox };
  const points = Object.entries(face.landmarks).map((
    [name, point],
  ) => [name, { x: point.x * scale, y: point.y * scale }]);
  return {
    ...face,
    boundingBox,
    landmarks: Object.fromEntries(points) as Landmarks,
  };
}

async function openPipeline(): Promise<Pipeline> {
  const pipeline = await createPipeline({ workers: 0 });
  await pipeline.ready;
  return pipeline;
}

async function savePicture(
  file: string,
  analysis: Analysis,
  path: string,
): Promise<void> {
  const bytes = await Deno.readFile(file);
  const header = readHeader(bytes, IMAGE_LIMITS);
  const picture = await decode(bytes, header, { longestSide: SAVED_SIDE });
  const scale = picture.width / analysis.image.width;
  const drawn = drawFaces(
    picture,
    analysis.faces.map((face) => scaleFace(face, scale)),
  );
  await Deno.writeFile(path, await encodePng(drawn));
}

function describe(error: unknown): string {
  if (error instanceof PipelineError) return `${error.message} (${error.code})`;
  if (error instanceof Deno.errors.NotFound) return "No such file";
  return error instanceof Error ? error.message.split("\n")[0]! : String(error);
}

if (import.meta.main) Deno.exit(await main(Deno.args));
