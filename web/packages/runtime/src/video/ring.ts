/** The last frames of a video that is looked at elsewhere, until what is in them is known. */
import type { Frame } from "../device/protocol";

/**
 * A camera has few buffers. Chromium's has ten, and when all are held it gives no further frame
 * until one is free: the page's video, its overlay, the encoder and the camera need some too.
 */
const MOST_KEPT = 4;
/** Half a frame at 15 a second: a kept frame further away is another one. */
const SAME_WITHIN_MS = 34;
/** A stream that gives no frame for so long may wait for a buffer: what is kept is given back. */
const STALLED_MS = 300;

interface Kept {
  readonly frame: VideoFrame;
  readonly capturedAt: number;
}

/** Frames in the order of their capture. Those that are not taken are closed. */
export class FrameRing {
  #kept: Kept[] = [];
  #stallTimer: ReturnType<typeof setTimeout> | undefined;

  /** Takes the frame over. */
  add(frame: Frame, capturedAt: number): void {
    clearTimeout(this.#stallTimer);
    this.#stallTimer = setTimeout(() => this.clear(), STALLED_MS);
    if (!("displayWidth" in frame)) {
      frame.close(); // a copy, where frames cannot be referred to: too dear to keep
      return;
    }
    this.#kept.push({ frame, capturedAt });
    while (this.#kept.length > MOST_KEPT) this.#kept.shift()?.frame.close();
  }

  /** The frame captured then, which is the caller's to close; null where it is gone. Older go. */
  take(capturedAt: number): VideoFrame | null {
    const distance = (kept: Kept) => Math.abs(kept.capturedAt - capturedAt);
    const nearest = this.#kept.reduce<Kept | null>(
      (best, kept) => (best === null || distance(kept) < distance(best) ? kept : best),
      null,
    );
    const found = nearest !== null && distance(nearest) <= SAME_WITHIN_MS ? nearest : null;
    const least = found?.capturedAt ?? capturedAt - SAME_WITHIN_MS;
    for (const { frame, capturedAt: time } of this.#kept) if (time < least) frame.close();
    this.#kept = this.#kept.filter((kept) => kept.capturedAt >= least && kept !== found);
    return found?.frame ?? null;
  }

  clear(): void {
    clearTimeout(this.#stallTimer);
    for (const { frame } of this.#kept) frame.close();
    this.#kept = [];
  }
}
