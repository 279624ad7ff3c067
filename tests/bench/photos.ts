/** The photos that come with face-api, 1920 px wide, and the faces in them counted by eye. */
const SAMPLES = { 1: 3, 2: 3, 3: 3, 4: 4, 5: 5, 6: 4 };

/** A photo on disk. */
export interface Photo {
  name: string;
  path: string;
  /** Faces counted by eye. */
  faces: number;
}

/** The sample photos out of the installed package. */
export function samplePhotos(): Photo[] {
  const demo = new URL(
    "peers/node_modules/@vladmandic/face-api/demo/",
    import.meta.url,
  );
  return Object.entries(SAMPLES).map(([number, faces]) => {
    const name = `sample${number}.jpg`;
    return { name, path: new URL(name, demo).pathname, faces };
  });
}

/** A photo scaled to a longest side, as a JPEG in results/. */
export async function resized(photo: Photo, side: number): Promise<Photo> {
  const bytes = await Deno.readFile(photo.path);
  const bitmap = await createImageBitmap(new Blob([bytes]));
  const scale = side / Math.max(bitmap.width, bitmap.height);
  const [width, height] = [bitmap.width, bitmap.height].map((length) =>
    Math.round(length * scale)
  ) as [number, number];
  const path = await saveScaled(bytes, `${side}_${photo.name}`, width, height);
  return { name: `${width}x${height}`, path, faces: photo.faces };
}

/** A photo of the samples' size without a face: the coffee cup of the tests, enlarged. */
export async function photoWithoutFace(): Promise<Photo> {
  const cup = new URL("../testdata/images/coffee.jpg", import.meta.url);
  const bytes = await Deno.readFile(cup);
  const path = await saveScaled(bytes, "no_face.jpg", 1920, 1280);
  return { name: "no face", path, faces: 0 };
}

/** Writes a picture in another size and gives its path. */
async function saveScaled(
  bytes: Uint8Array<ArrayBuffer>,
  name: string,
  width: number,
  height: number,
): Promise<string> {
  const bitmap = await createImageBitmap(
    new Blob([bytes], { type: "image/jpeg" }),
    { resizeWidth: width, resizeHeight: height, resizeQuality: "high" },
  );
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("bitmaprenderer")!.transferFromImageBitmap(bitmap);
  const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.9 });
  const folder = new URL("results/", import.meta.url);
  await Deno.mkdir(folder, { recursive: true });
  const path = new URL(name, folder).pathname;
  await Deno.writeFile(path, await blob.bytes());
  return path;
}
