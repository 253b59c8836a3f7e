/**
 * Which frame an answer over WebRTC belongs to, as the time when that frame was captured. Pure
 * arithmetic: it is told what left and what came, and when.
 *
 * The server names a frame by `pts`: its RTP timestamp, less that of the first frame it could
 * decode, which only the server knows. A sender that can see its own encoded frames (see
 * frametap.ts) knows each one's RTP timestamp. RTP timestamps come from the capture time, to the
 * millisecond, and so are uneven: after a few answers only one origin maps all of them to frames
 * that were sent. From then on the tie is exact.
 *
 * The captured time is RTP time plus a constant. Every sighting of a frame (leaving the encoder,
 * answered) comes after its capture by some delay, so the least difference seen lately is the
 * constant plus the least delay, the same for all frames.
 */

/** RTP ticks in a millisecond of video (RFC 3551, 5). */
const TICKS_PER_MS = 90;
const WRAP = 2 ** 32;
/** Frames remembered: 10 s at 60 a second, longer than any answer takes. */
const MOST_REMEMBERED = 600;
const WINDOW_MS = 5000;

/** The least of what was added in the last one to two windows. */
export class LeastLately {
  #recent = Number.POSITIVE_INFINITY;
  #before = Number.POSITIVE_INFINITY;
  #since = Number.NEGATIVE_INFINITY;

  add(value: number, now: number): void {
    if (now - this.#since > WINDOW_MS) {
      this.#before = this.#recent;
      this.#recent = Number.POSITIVE_INFINITY;
      this.#since = now;
    }
    this.#recent = Math.min(this.#recent, value);
  }

  /** Infinity before anything was added. */
  get value(): number {
    return Math.min(this.#recent, this.#before);
  }
}

/** Milliseconds of a 32-bit counter of ticks that wraps around. */
class MediaTime {
  #last: number | undefined;
  #ticks = 0;

  read(counter: number): number {
    const step = counter - (this.#last ?? counter);
    this.#ticks += modulo(step + WRAP / 2) - WRAP / 2;
    this.#last = counter;
    return this.#ticks / TICKS_PER_MS;
  }
}

interface SentFrame {
  readonly mediaMs: number;
  readonly sentAt: number;
}

/** An answer's frame by its pts, when the answer came, and how long it was away from here. */
export interface Sighting {
  readonly pts: number;
  readonly arrivedAt: number;
  /** Milliseconds in the server, and half the way there and back. */
  readonly ageMs: number;
  readonly pathMs: number;
}

/** One connection's. Times are those of performance.now(). */
export class FrameClock {
  readonly #sentTime = new MediaTime();
  readonly #answeredTime = new MediaTime();
  readonly #sentOffset = new LeastLately();
  readonly #answeredOffset = new LeastLately();
  /** By RTP timestamp, oldest first. */
  readonly #sent = new Map<number, SentFrame>();
  #origins: readonly number[] = [];

  /** A frame with this RTP timestamp has left the encoder. */
  noteSent(rtpTimestamp: number, sentAt: number): void {
    const mediaMs = this.#sentTime.read(rtpTimestamp);
    this.#sent.set(rtpTimestamp, { mediaMs, sentAt });
    this.#sentOffset.add(sentAt - mediaMs, sentAt);
    if (this.#sent.size > MOST_REMEMBERED) {
      const [oldest] = this.#sent.keys();
      if (oldest !== undefined) this.#sent.delete(oldest);
    }
  }

  /** Whether answers are tied to frames that were seen leaving, each one for certain. */
  get isExact(): boolean {
    return this.#origins.length === 1;
  }

  /** When the answered frame was captured. */
  capturedAt(sighting: Sighting): number {
    const leftServer = sighting.arrivedAt - sighting.ageMs - sighting.pathMs;
    const mediaMs = this.#answeredTime.read(modulo(sighting.pts));
    this.#answeredOffset.add(leftServer - mediaMs, sighting.arrivedAt);
    const frame = this.#frameOf(sighting.pts, leftServer);
    if (frame !== undefined) return frame.mediaMs + this.#sentOffset.value;
    return mediaMs + this.#answeredOffset.value;
  }

  /** The frame sent that this is the answer to; undefined where none was seen. */
  #frameOf(pts: number, atServer: number): SentFrame | undefined {
    const possible = this.#origins.filter((origin) => this.#sent.has(modulo(pts + origin)));
    this.#origins =
      possible.length > 0 ? possible : [...this.#sent.keys()].map((rtp) => modulo(rtp - pts));
    const frames = this.#origins.flatMap((origin) => this.#sent.get(modulo(pts + origin)) ?? []);
    // While several fit: the newest that can have been there, as ways are short.
    return frames.filter(({ sentAt }) => sentAt <= atServer).at(-1) ?? frames[0];
  }
}

function modulo(ticks: number): number {
  return ((ticks % WRAP) + WRAP) % WRAP;
}
