import { decode } from "../../src/pipeline/decode.ts";
import { readHeader } from "../../src/pipeline/header.ts";
import { fixture, LIMITS } from "./pictures.ts";

// Seen as a Worker from both ends: `self` has the type of a window here.
const scope = self as unknown as Worker;
scope.onmessage = async ({ data }: MessageEvent<string[]>): Promise<void> => {
  const sizes = [];
  for (const name of data) {
    const bytes = fixture(name);
    const { width, height } = await decode(bytes, readHeader(bytes, LIMITS));
    sizes.push(`${width}x${height}`);
  }
  scope.postMessage(sizes);
};
