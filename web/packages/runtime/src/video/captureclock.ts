/**
 * When the frames of a stream were captured, where the browser does not tell. Pure arithmetic: it
 * is told what was presented, and when.
 */
import { LeastLately } from "../remote/frameclock";

/** No frame waits so long to be presented: its timestamp is of another count. */
const MOST_DELAY_MS = 500;

/**
 * Timestamps go on evenly with the capture, from any beginning. Presentation comes after it by a
 * varying delay, of which the least seen lately counts: what remains is the same for all frames.
 */
export class CaptureClock {
  #offset = new LeastLately();

  /** On the clock of presentedAt. */
  capturedAt(timestampMs: number, presentedAt: number): number {
    const offset = presentedAt - timestampMs;
    if (!(Math.abs(offset - this.#offset.value) < MOST_DELAY_MS)) this.#offset = new LeastLately();
    this.#offset.add(offset, presentedAt);
    return timestampMs + this.#offset.value;
  }
}
