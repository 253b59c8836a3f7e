/** The frames that a <video> presents, each once, ready to be handed to a detector. */
import type { Frame } from "../device/protocol";
import { FrameUnusable, firstLine, VideoForbidden } from "../errors";
import { CaptureClock } from "./captureclock";

export interface FrameWatcher {
  /** Whether a frame is of use now; asked before one is taken. */
  wants(now: number): boolean;
  /**
   * Owns the frame. `capturedAt`: when the camera took it where the browser tells, else of streams
   * some moments later, the same for all frames, of files when it was presented; on the clock of
   * performance.now().
   */
  onFrame(frame: Frame, capturedAt: number): void;
  /** A VideoForbidden, after which no frame follows, or a FrameUnusable after several in a row. */
  onError(error: FrameUnusable): void;
}

/** A video that changes its source gives a few frames that cannot be read. */
const MOST_UNREADABLE = 10;

/** Tells of every presented frame until the returned function is called. */
export function watchFrames(video: HTMLVideoElement, watcher: FrameWatcher): () => void {
  let isStopped = false;
  let handle = 0;
  let unreadable = 0;
  const clock = new CaptureClock();
  const take = async (metadata: VideoFrameCallbackMetadata): Promise<void> => {
    const frame = await grabFrame(video);
    unreadable = 0;
    if (isStopped) frame.close();
    else watcher.onFrame(frame, timeOf(video, frame, metadata, clock));
  };
  const present = async (now: number, metadata: VideoFrameCallbackMetadata): Promise<void> => {
    try {
      if (watcher.wants(now)) await take(metadata);
    } catch (reason) {
      const error = explain(video, reason);
      const isOver = error instanceof VideoForbidden;
      unreadable++;
      if (!isStopped && (isOver || unreadable === MOST_UNREADABLE)) watcher.onError(error);
      if (isOver) return;
    }
    if (!isStopped) handle = video.requestVideoFrameCallback(present);
  };
  handle = video.requestVideoFrameCallback(present);
  return () => {
    isStopped = true;
    video.cancelVideoFrameCallback(handle);
  };
}

function timeOf(
  { srcObject }: HTMLVideoElement,
  frame: Frame,
  { captureTime, presentationTime }: VideoFrameCallbackMetadata,
  clock: CaptureClock,
): number {
  if (captureTime !== undefined) return captureTime;
  // A file may be played at any speed, so that its timestamps are no time.
  if (!(srcObject instanceof MediaStream) || !("timestamp" in frame)) return presentationTime;
  return clock.capturedAt(frame.timestamp / 1000, presentationTime);
}

/** The frame on display. A reference where WebCodecs exist (secure pages), else a copy. */
export async function grabFrame(video: HTMLVideoElement): Promise<Frame> {
  if (typeof VideoFrame === "undefined") return await createImageBitmap(video);
  return new VideoFrame(video);
}

function explain(video: HTMLVideoElement, reason: unknown): FrameUnusable {
  if (reason instanceof DOMException && reason.name === "SecurityError") {
    return new VideoForbidden(
      `the video is from another site that does not allow reading it: ${video.currentSrc}; its ` +
        'server must send Access-Control-Allow-Origin, and the <video> needs crossorigin="anonymous"',
    );
  }
  return new FrameUnusable(`the video's frame cannot be read: ${firstLine(reason)}`);
}

// Not in TypeScript's DOM library: https://w3c.github.io/mediacapture-fromelement/
interface CapturableVideo {
  readonly captureStream?: () => MediaStream;
  readonly mozCaptureStream?: () => MediaStream;
}

/** What the video plays, as a stream; null where the browser cannot make one of a file. */
export function streamOf(video: HTMLVideoElement & CapturableVideo): MediaStream | null {
  if (video.srcObject instanceof MediaStream) return video.srcObject;
  return video.captureStream?.() ?? video.mozCaptureStream?.() ?? null;
}
