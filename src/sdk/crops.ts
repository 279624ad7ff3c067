import type { Analysis, Face, ImageInfo, Timing } from "../types.ts";
import type { ImageInput } from "./upload.ts";

/** One face cut out of its picture, aligned as a model wants it. */
export interface CroppedFace {
  /** A PNG in the model's own size: all that leaves the machine. */
  crop: Blob;
  /** Where the face is; stays here. */
  face: Face;
}

/** A picture's faces, found on this machine. */
export interface CroppedFaces {
  /** Facts of the whole picture. */
  image: ImageInfo;
  /** The model the crops are aligned for. */
  model: string;
  /** Largest first. */
  faces: CroppedFace[];
  /** Time spent here. */
  timing: Timing;
}

/** What a cropper is to look for. */
export interface CropOptions {
  /** The model the crops are for, or `auto`. @default {"auto"} */
  model?: string;
  /** 1 to 100, largest faces first. @default {20} */
  maxFaces?: number;
  /** 0 to 1. @default {0.6} */
  minDetectionConfidence?: number;
  /** Ends the search. */
  signal?: AbortSignal;
}

/** Something that finds faces on this machine: an `Analyzer` of `@mien/mien/local`. */
export interface FaceCropper {
  /** Finds faces and cuts them out. */
  crop(image: ImageInput, options?: CropOptions): Promise<CroppedFaces>;
}

/** Crops on their way at a time: as many as a Worker's queue holds. */
const LANES = 4;

/**
 * Sends each face's crop by itself, and puts the answers back where the faces are in the picture.
 *
 * @param ask Analyses one crop with the given model.
 * @param wanted Whether landmarks were asked for.
 */
export async function analyzeCrops(
  found: CroppedFaces,
  ask: (crop: Blob, model: string) => Promise<Analysis>,
  wanted: { landmarks: boolean },
): Promise<Analysis> {
  const { image, model, timing } = found;
  const answers: Analysis[] = [];
  let next = 0;
  async function lane(): Promise<void> {
    while (next < found.faces.length) {
      const index = next++;
      answers[index] = await ask(found.faces[index]!.crop, model);
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane));
  const total = { ...timing };
  for (const { timing } of answers) {
    for (const key of Object.keys(total) as (keyof Timing)[]) {
      total[key] += timing[key];
    }
  }
  const faces = answers.map(({ faces: [read] }, index): Face => {
    const { landmarks, ...here } = found.faces[index]!.face;
    return {
      ...read!,
      ...here,
      ...(wanted.landmarks && landmarks ? { landmarks } : {}),
      provenance: read!.provenance,
    };
  });
  const requestId = answers[0]?.requestId ?? "";
  return { requestId, image, faces, timing: total };
}
