import { TextLineStream } from "./lines.ts";
import type { AnalyzeOptions, BoundingBox } from "../../src/types.ts";

/** A face as any contender reports it. */
export interface FoundFace {
  box: BoundingBox;
  score: number;
  label: string;
}

/** What a contender says of one photo. */
export interface Reading {
  faces: FoundFace[];
  timing: Record<string, number>;
}

/** Parent to contender: analyse one photo, or several at once. */
export interface Question {
  photos: string[];
  options?: AnalyzeOptions;
  /** How many are under way at a time. @default {1} */
  together?: number;
}

/** Contender to parent: milliseconds for all, and the last photo's reading. */
export interface Reply extends Reading {
  ms: number;
}

/** Answers questions from standard input, one JSON line each, until it ends. */
export async function serve(
  analyze: (
    bytes: Uint8Array<ArrayBuffer>,
    options: AnalyzeOptions,
  ) => Promise<Reading>,
): Promise<void> {
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  say({ ready: true });
  const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream())
    .pipeThrough(new TextLineStream());
  for await (const line of lines) {
    const { photos, options = {}, together = 1 } = JSON.parse(line) as Question;
    for (const photo of photos) {
      if (!files.has(photo)) files.set(photo, await Deno.readFile(photo));
    }
    const waiting = photos.map((photo) => files.get(photo)!.slice());
    let reading: Reading = { faces: [], timing: {} };
    const start = performance.now();
    await Promise.all(Array.from({ length: together }, async () => {
      for (let bytes; (bytes = waiting.pop());) {
        reading = await analyze(bytes, options);
      }
    }));
    say({ ms: performance.now() - start, ...reading });
  }
}

function say(message: unknown): void {
  const bytes = new TextEncoder().encode(JSON.stringify(message) + "\n");
  for (let at = 0; at < bytes.length;) {
    at += Deno.stdout.writeSync(bytes.subarray(at));
  }
}
