import type { CanvasLike, VideoLike } from "./canvas.ts";
import type { ImageInput } from "./upload.ts";

/** Where a stream's frames come from: something that is playing, or pictures one after another. */
export type FrameSource =
  | VideoLike
  | CanvasLike
  | AsyncIterable<ImageInput>
  | Iterable<ImageInput>;

/** What of a video element is looked at, where it is there. */
interface Playing extends VideoLike {
  readonly readyState?: number;
  readonly paused?: boolean;
  readonly ended?: boolean;
  requestVideoFrameCallback?(done: () => void): number;
  cancelVideoFrameCallback?(handle: number): void;
}

/** `HTMLMediaElement.HAVE_CURRENT_DATA`: a video knows its size before it has a frame to draw. */
const HAVE_CURRENT_DATA = 2;
/** A canvas is looked at this often; so is a video whose browser does not tell of new frames. */
const FRAME_MS = 33;
/** A video that tells is looked at all the same, for it is silent while nobody sees it. */
const UNSEEN_MS = 250;

/** Frames as they are asked for: of a video or canvas always the newest, until the video ends. */
export async function* framesOf(
  source: FrameSource,
): AsyncGenerator<ImageInput, void, undefined> {
  if (Symbol.asyncIterator in source || Symbol.iterator in source) {
    yield* source as AsyncIterable<ImageInput>;
    return;
  }
  const video = "videoWidth" in source ? source as Playing : undefined;
  while (!video?.ended) {
    if (video) await newFrame(video);
    if (!video || drawable(video)) yield source;
    if (!video) await wait(FRAME_MS);
  }
}

function drawable(video: Playing): boolean {
  return video.videoWidth > 0 && !video.paused && !video.ended &&
    (video.readyState ?? HAVE_CURRENT_DATA) >= HAVE_CURRENT_DATA;
}

function newFrame(video: Playing): Promise<void> {
  if (!video.requestVideoFrameCallback) return wait(FRAME_MS);
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      video.cancelVideoFrameCallback?.(handle);
      resolve();
    };
    const handle = video.requestVideoFrameCallback!(done);
    const timer = setTimeout(done, UNSEEN_MS);
  });
}

function wait(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}
