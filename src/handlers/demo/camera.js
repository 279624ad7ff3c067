import { RequestError } from "./api.js";

/** @type {Record<string, string>} */
const REASONS = {
  NotAllowedError:
    "The camera was not allowed. Allow it in the browser's address bar and try again.",
  NotFoundError: "No camera was found.",
  NotReadableError:
    "The camera is in use elsewhere. Close what uses it and try again.",
};

/**
 * Plays the webcam on a video element.
 *
 * @param {HTMLVideoElement} video
 * @returns {Promise<() => void>} Turns it off.
 */
export async function openCamera(video) {
  const title = "No webcam";
  if (!navigator.mediaDevices) {
    throw new RequestError("A page may use a camera over https only.", {
      title,
    });
  }
  let media;
  try {
    media = await navigator.mediaDevices.getUserMedia({
      video: { facingMode: "user", width: { ideal: 640 } },
    });
  } catch (error) {
    const name = error instanceof Error ? error.name : "";
    throw new RequestError(REASONS[name] ?? String(error), { title });
  }
  video.srcObject = media;
  await Promise.all([drawable(video), video.play()]);
  return () => {
    for (const track of media.getTracks()) track.stop();
    video.srcObject = null;
  };
}

/**
 * A video knows its size before it has a frame to draw.
 *
 * @param {HTMLVideoElement} video
 */
function drawable(video) {
  return new Promise((done) =>
    video.addEventListener("loadeddata", done, { once: true })
  );
}

/**
 * What the video shows now, as a JPEG.
 *
 * @param {HTMLVideoElement} video
 * @returns {Promise<Blob>}
 */
export async function snapshot(video) {
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  canvas.getContext("2d")?.drawImage(video, 0, 0);
  return await canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
}
