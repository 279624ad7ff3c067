import type { Backend } from "../../src/pipeline/backend.ts";
import type { RawImage, Similarity } from "../../src/pipeline/image.ts";
import { type ModelSpec, servedLabels } from "../../src/pipeline/manifest.ts";
import { squareCrop, toTensor } from "../../src/pipeline/preprocess.ts";
import { type PastedTile, TILE } from "./made_photos.ts";

/** Reads tiles whose place is known, without detector and landmarks. */
export interface TileReader {
  /** The label of a tile as it was before pasting, resized bilinearly. */
  bare(tile: PastedTile): Promise<string>;
  /** The label of the square where the tile was pasted, cut from the decoded photo. */
  cut(photo: RawImage, tile: PastedTile): Promise<string>;
}

/** A reader with the same model and sampling as the pipeline. */
export function createTileReader(
  backend: Backend,
  spec: ModelSpec,
): TileReader {
  const input = spec.inputs[0]!, size = Number(input.shape[3]);
  const labels = servedLabels(spec);

  async function read(image: RawImage, map: Similarity): Promise<string> {
    const data = new Float32Array(Number(input.shape[1]) * size * size);
    toTensor(image, map, input, data, 0);
    const dims = [1, Number(input.shape[1]), size, size];
    const out = await backend.run(spec.name, { [input.name]: { data, dims } }, {
      outputs: ["logits"],
    });
    const logits = out.logits!.data;
    return labels[logits.indexOf(Math.max(...logits))]!;
  }

  return {
    bare: ({ pixels }) => {
      const image = { data: pixels, width: TILE, height: TILE, channels: 1 };
      const middle = { x: TILE / 2, y: TILE / 2 };
      return read(image as RawImage, squareCrop(middle, TILE, 0, size));
    },
    cut: (photo, { x, y, side, degrees }) =>
      read(photo, squareCrop({ x, y }, side, degrees, size)),
  };
}
