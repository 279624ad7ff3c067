import type { Landmarks, Point } from "../types.ts";
import type { Backend } from "./backend.ts";
import type { ModelSpec } from "./manifest.ts";
import {
  type Detection,
  interOcular,
  roll,
  toLandmarks,
} from "./postprocess.ts";
import { squareCrop, toTensor, unproject } from "./preprocess.ts";
import type { Scaled } from "./detect.ts";

/** A detection with refined points and the probability that there is a face at all. */
export interface LocatedFace extends Detection {
  presence: number;
}

/** Passes of the landmark net: the first from the detector's box, the next from its own points. */
const PASSES = 2;

/** A square to look at: its middle and side in pixels, and the clockwise turn to undo. */
interface Square {
  centre: Point;
  side: number;
  degrees: number;
}

/**
 * Refines the detector's five points, all faces as one batch.
 *
 * With `fromPoints` the first pass starts at the given points rather than the box: for faces that
 * are known from the frame before.
 *
 * @returns Faces in the order given, points in full-size upright pixels.
 */
export async function locate(
  faces: readonly Detection[],
  { image, scale }: Scaled,
  context: {
    backend: Backend;
    spec: ModelSpec;
    signal?: AbortSignal;
    fromPoints?: boolean;
  },
): Promise<LocatedFace[]> {
  const { backend, spec } = context;
  const input = spec.inputs[0]!, size = Number(input.shape[3]);
  let landmarks: Landmarks[] = faces.map((face) => face.landmarks);
  let presence: number[] = [];
  for (let pass = 0; pass < PASSES; pass++) {
    const maps = faces.map((face, index) => {
      const { centre, side, degrees } = pass === 0 && !context.fromPoints
        ? aroundBox(face, spec)
        : aroundPoints(landmarks[index]!, spec);
      const middle = { x: centre.x / scale, y: centre.y / scale };
      return squareCrop(middle, side / scale, degrees, size);
    });
    const data = new Float32Array(faces.length * size * size);
    maps.forEach((map, index) => toTensor(image, map, input, data, index));
    const feeds = {
      [input.name]: { data, dims: [faces.length, 1, size, size] },
    };
    const out = await backend.run(
      spec.name,
      feeds,
      context.signal ? { signal: context.signal } : {},
    );
    const points = out.points!.data;
    landmarks = maps.map((map, index) =>
      toLandmarks((k) => {
        const at = index * 10 + 2 * k;
        const { x, y } = unproject(map, points[at]!, points[at + 1]!, size);
        return { x: x * scale, y: y * scale };
      })
    );
    presence = Array.from(
      out.presence!.data,
      (logit) => 1 / (1 + Math.exp(-logit)),
    );
  }
  return faces.map((face, index) => ({
    ...face,
    landmarks: landmarks[index]!,
    presence: presence[index]!,
  }));
}

function aroundBox(
  { boundingBox: box, landmarks }: Detection,
  spec: ModelSpec,
): Square {
  return {
    centre: { x: box.x + box.width / 2, y: box.y + box.height / 2 },
    side: Math.max(box.width, box.height) * spec.crop!.scale,
    degrees: roll(landmarks),
  };
}

/**
 * The square that the detector's box would give, told from the points: steadier than the box, for
 * a second pass and from frame to frame.
 */
function aroundPoints(landmarks: Landmarks, spec: ModelSpec): Square {
  const { scale, up } = spec.crop!.follow;
  const { rightEye, leftEye, rightMouthCorner, leftMouthCorner } = landmarks;
  const eyes = middle(rightEye, leftEye),
    mouth = middle(rightMouthCorner, leftMouthCorner);
  const degrees = roll(landmarks), angle = degrees * Math.PI / 180;
  const size = Math.max(
    interOcular(landmarks),
    Math.hypot(mouth.x - eyes.x, mouth.y - eyes.y),
  );
  const centre = middle(eyes, mouth);
  return {
    centre: {
      x: centre.x + up * size * Math.sin(angle),
      y: centre.y - up * size * Math.cos(angle),
    },
    side: scale * size,
    degrees,
  };
}

function middle(a: Point, b: Point): Point {
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
}
