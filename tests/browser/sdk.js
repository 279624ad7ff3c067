/** What the browser's side of the SDK's tests does; each function runs in a page. */
const site = location.origin;

/** The conformance pack, with the weights from the server. */
export async function conform() {
  const [local, preprocess, ort, { check }] = await Promise.all([
    import(`${site}/sdk/local.js`),
    import(`${site}/sdk/preprocess.js`),
    import(`${site}/sdk/ort.js`),
    import(`${site}/repository/tests/conformance/check.js`),
  ]);
  const read = async (/** @type {string} */ path) => {
    const response = await fetch(`${site}/repository/${path}`);
    return new Uint8Array(await response.arrayBuffer());
  };
  return await check({
    local,
    preprocess,
    ort,
    read,
    models: { server: site },
  });
}

/** One photo as everything a page may have it, sent to the server and read here. */
export async function everyInput() {
  const [{ Mien }, { createAnalyzer }, ort] = await Promise.all([
    import(`${site}/sdk/client.js`),
    import(`${site}/sdk/local.js`),
    import(`${site}/sdk/ort.js`),
  ]);
  const response = await fetch(
    `${site}/repository/tests/testdata/images/astronaut.jpg`,
  );
  const blob = new Blob([await response.arrayBuffer()], { type: "image/jpeg" });
  const image = new Image();
  image.src = URL.createObjectURL(blob);
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 512;
  const context =
    /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.drawImage(image, 0, 0);
  const offscreen = new OffscreenCanvas(512, 512);
  /** @type {OffscreenCanvasRenderingContext2D} */ (offscreen.getContext("2d"))
    .drawImage(image, 0, 0);
  const video = document.createElement("video");
  video.muted = true;
  video.srcObject = canvas.captureStream(30);
  await video.play();
  const reader = new FileReader();
  const data = new Promise((loaded) =>
    reader.onload = () => loaded(reader.result)
  );
  reader.readAsDataURL(blob);

  /** @type {Record<string, () => any>} */
  const inputs = {
    Blob: () => blob,
    File: () => new File([blob], "photo.jpg"),
    ArrayBuffer: () => blob.arrayBuffer(),
    Uint8Array: async () => new Uint8Array(await blob.arrayBuffer()),
    ReadableStream: () => blob.stream(),
    URL: async () => new URL(/** @type {string} */ (await data)),
    ImageBitmap: () => createImageBitmap(blob),
    ImageData: () => context.getImageData(0, 0, 512, 512),
    HTMLCanvasElement: () => canvas,
    OffscreenCanvas: () => offscreen,
    HTMLImageElement: () => image,
    HTMLVideoElement: () => video,
    VideoFrame: () => new VideoFrame(canvas, { timestamp: 0 }),
  };
  const analyzer = await createAnalyzer({ ort, models: { server: site } });
  const mien = new Mien({ endpoint: "/", analyzer });
  /** @type {Record<string, { sent: any, shrunk: any, here: any }>} */
  const found = {};
  for (const [name, input] of Object.entries(inputs)) {
    found[name] = {
      sent: brief(await mien.analyze(await input())),
      shrunk: brief(await mien.analyze(await input(), { maxSide: 300 })),
      here: brief(await analyzer.analyze(await input())),
    };
  }
  await analyzer.close();
  return found;
}

/** @param {{ image: any, faces: any[] }} analysis */
function brief({ image, faces }) {
  return {
    width: image.width,
    height: image.height,
    labels: faces.map(({ expression }) => expression.label),
  };
}
