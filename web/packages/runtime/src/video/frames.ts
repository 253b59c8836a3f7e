/** The frames that a <video> presents, each once, ready to be handed to a detector. */

import type { Frame } from "../device/protocol";
import { FrameUnusable, firstLine } from "../errors";

/** `capturedAt`: when the camera took it where the browser tells, else when it was presented. */
export type FrameListener = (frame: Frame, capturedAt: number) => void;

/**
 * Calls `onFrame` for every presented frame until the returned function is called; `onFrame` owns
 * the frame. `onError` gets a FrameUnusable, after which no frame follows.
 */
export function watchFrames(
  video: HTMLVideoElement,
  onFrame: FrameListener,
  onError: (error: FrameUnusable) => void,
): () => void {
  let isStopped = false;
  let handle = 0;
  const present = async (now: number, metadata: VideoFrameCallbackMetadata): Promise<void> => {
    const capturedAt = metadata.captureTime ?? now;
    try {
      const frame = await grabFrame(video);
      if (isStopped) {
        frame.close();
        return;
      }
      onFrame(frame, capturedAt);
    } catch (error) {
      if (!isStopped) onError(unusable(video, error));
      return;
    }
    handle = video.requestVideoFrameCallback(present);
  };
  handle = video.requestVideoFrameCallback(present);
  return () => {
    isStopped = true;
    video.cancelVideoFrameCallback(handle);
  };
}

/** The frame on display. A reference where WebCodecs exist (secure pages), else a copy. */
export async function grabFrame(video: HTMLVideoElement): Promise<Frame> {
  if (typeof VideoFrame === "undefined") return await createImageBitmap(video);
  return new VideoFrame(video);
}

function unusable(video: HTMLVideoElement, error: unknown): FrameUnusable {
  const isForeign = error instanceof DOMException && error.name === "SecurityError";
  return new FrameUnusable(
    isForeign
      ? `the video is from another site that does not allow reading it (no CORS): ${video.currentSrc}`
      : `the video's frame cannot be read: ${firstLine(error)}`,
  );
}
