import type { BoundingBox, Landmarks } from "../types.ts";
import type { Backend } from "./backend.ts";
import type { Scaled } from "./detect.ts";
import { locate, type LocatedFace } from "./landmarks.ts";
import type { ModelSpec } from "./manifest.ts";
import { type Detection, nms } from "./postprocess.ts";

/** A face to which the landmark net gives less than this is looked for by the detector. */
const MIN_PRESENCE = 0.8;
/** So does one whose size changes by more than this factor from one frame to the next. */
const MAX_GROWTH = 1.5;

/**
 * The faces of the frame before in this one, by their landmarks alone: no detector runs.
 *
 * @param known The frame before's, in full-size upright pixels.
 * @returns In the order given, or undefined where one is lost, in doubt, or on top of another.
 */
export async function follow(
  known: readonly Detection[],
  picture: Scaled,
  context: { backend: Backend; spec: ModelSpec; signal?: AbortSignal },
): Promise<LocatedFace[] | undefined> {
  const located = await locate(known, picture, {
    ...context,
    fromPoints: true,
  });
  const found: LocatedFace[] = [];
  for (const [index, face] of located.entries()) {
    const { landmarks, boundingBox } = known[index]!;
    const growth = spread(face.landmarks) / spread(landmarks);
    if (
      !(face.presence >= MIN_PRESENCE && growth < MAX_GROWTH &&
        growth > 1 / MAX_GROWTH)
    ) return undefined;
    found.push({
      ...face,
      boundingBox: carry(boundingBox, landmarks, face.landmarks),
    });
  }
  return nms(found).length === found.length ? found : undefined;
}

/** A box moved and scaled as its points were. */
function carry(box: BoundingBox, from: Landmarks, to: Landmarks): BoundingBox {
  const growth = spread(to) / spread(from), was = mean(from), is = mean(to);
  return {
    x: is.x + (box.x - was.x) * growth,
    y: is.y + (box.y - was.y) * growth,
    width: box.width * growth,
    height: box.height * growth,
  };
}

function mean(landmarks: Landmarks): { x: number; y: number } {
  const points = Object.values(landmarks) as { x: number; y: number }[];
  return {
    x: points.reduce((sum, { x }) => sum + x, 0) / points.length,
    y: points.reduce((sum, { y }) => sum + y, 0) / points.length,
  };
}

/** Root mean square distance of the points from their middle. */
function spread(landmarks: Landmarks): number {
  const points = Object.values(landmarks) as { x: number; y: number }[];
  const { x, y } = mean(landmarks);
  const squares = points.map((point) =>
    (point.x - x) ** 2 + (point.y - y) ** 2
  );
  return Math.sqrt(
    squares.reduce((sum, value) => sum + value, 0) / points.length,
  );
}
