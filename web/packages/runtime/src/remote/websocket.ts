/**
 * Detection on a server over WebSocket: frames as JPEG files, one at a time, the newest first.
 *
 * At most one frame is on its way and one waits; a newer frame takes the place of the waiting one.
 */

import type { Detection } from "../device/detector";
import type { Frame } from "../device/protocol";
import { DetectorDisposed, RemoteUnreachable } from "../errors";
import { JpegEncoder } from "./jpeg";
import { NewestFirst, type RemoteDetectOptions, type Sending } from "./newest";
import { keepConnected, type RemoteState } from "./reconnect";
import { socketConnection } from "./socket";
import {
  type FrameAnswer,
  type RemoteMessage,
  type RemoteOptions,
  type RemoteResult,
  toResult,
} from "./wire";

export interface WebSocketOptions extends Omit<RemoteOptions, "motion"> {
  /** Wider frames are made so wide before they are sent. */
  readonly maxWidth?: number;
  /** Of the JPEG files, 0..1. */
  readonly quality?: number;
  readonly onState?: (state: RemoteState) => void;
}

export interface RemoteDetector {
  /**
   * What is in the frame, which is taken over and closed; null when a newer frame took its place
   * or the connection broke meanwhile. Waits while there is no connection. Rejects with a
   * SightlineError.
   */
  detect(frame: Frame, options?: RemoteDetectOptions): Promise<RemoteResult | null>;
  /** Go on with another least score. */
  setThreshold(threshold: number): void;
  close(): void;
}

const ANSWER_MS = 10_000;
/** The server ends connections that it hears nothing on for a minute, as of a paused video. */
const STILL_HERE_MS = 25_000;

/** A detector that connects by itself, now and again when the connection broke. */
export function connectWebSocket(options: WebSocketOptions = {}): RemoteDetector {
  return new SocketDetector(options);
}

class SocketDetector implements RemoteDetector {
  readonly #encoder = new JpegEncoder();
  readonly #ending = new AbortController();
  readonly #frames = new NewestFirst((sending) => this.#ask(sending));
  #options: WebSocketOptions;
  #socket: WebSocket | null = null;
  #labels: readonly string[] = [];
  /** Null before the first answer of a connection, and where one is lacking. */
  #last: readonly Detection[] | null = null;
  #stillHere: ReturnType<typeof setInterval> | undefined;
  /** Takes the answer of the frame that is on its way; null when the connection broke. */
  #answered: ((message: RemoteMessage | null) => void) | null = null;

  constructor(options: WebSocketOptions) {
    this.#options = options;
    const connect = socketConnection(() => this.#options, {
      onOpen: (socket) => {
        this.#socket = socket;
        clearInterval(this.#stillHere);
        this.#stillHere = setInterval(() => this.#tell({}), STILL_HERE_MS);
        this.#frames.open();
      },
      onMessage: (message) => this.#answered?.(message),
      onClosed: () => {
        this.#socket = null;
        this.#frames.pause();
        clearInterval(this.#stillHere);
        this.#answered?.(null);
      },
    });
    keepConnected(connect, (state) => this.#follow(state), this.#ending.signal);
  }

  detect(frame: Frame, options: RemoteDetectOptions = {}): Promise<RemoteResult | null> {
    return this.#frames.add(frame, options);
  }

  setThreshold(threshold: number): void {
    this.#options = { ...this.#options, threshold };
    this.#last = null; // what is known now was found by the former one
    this.#tell({ threshold });
  }

  close(): void {
    const reason = new DetectorDisposed("the connection was closed");
    this.#frames.end(reason, { isTold: false });
    this.#ending.abort(reason);
    this.#encoder.end();
  }

  #tell(changes: { readonly threshold?: number }): void {
    if (this.#frames.isBusy && changes.threshold === undefined) return; // frames say the same
    this.#socket?.send(JSON.stringify({ type: "options", ...changes }));
  }

  #follow(state: RemoteState): void {
    if (state.kind === "ready") {
      this.#labels = state.labels;
      this.#last = null;
    }
    if (state.kind === "failed") this.#frames.end(state.error, { isTold: true });
    this.#options.onState?.(state);
  }

  async #ask({ frame, capturedAt, motion }: Sending): Promise<RemoteResult | null> {
    const { maxWidth, quality } = this.#options;
    const encoded = await this.#encoder.encode({
      frame,
      maxWidth,
      quality,
      motion: motion && { ...motion, timeS: capturedAt / 1000, isAnew: this.#last === null },
    });
    if (encoded.jpeg === null) return stillResult(encoded, capturedAt, this.#last ?? []);
    const socket = this.#socket;
    this.#last = null;
    if (socket?.readyState !== WebSocket.OPEN) return null;
    const answer = await this.#exchange(socket, encoded.jpeg);
    if (answer === null) return null;
    const result = toResult(answer, this.#labels, capturedAt, [], encoded);
    this.#last = result.detections;
    return result;
  }

  /** The answer to one image; null when the connection broke. Rejects with the frame's error. */
  async #exchange(socket: WebSocket, jpeg: ArrayBuffer): Promise<FrameAnswer | null> {
    const message = await new Promise<RemoteMessage | null>((resolve, reject) => {
      const timer = setTimeout(() => {
        socket.close();
        reject(new RemoteUnreachable("the server did not answer a frame in 10 seconds"));
      }, ANSWER_MS);
      this.#answered = (received) => {
        clearTimeout(timer);
        this.#answered = null;
        resolve(received);
      };
      socket.send(jpeg);
    });
    if (message?.kind === "error") throw message.error;
    return message?.kind === "answer" ? message : null;
  }
}

/** What holds on where nothing has moved: nothing was sent. */
function stillResult(
  { width, height }: { readonly width: number; readonly height: number },
  capturedAt: number,
  last: readonly Detection[],
): RemoteResult {
  const timing = { preprocessMs: 0, inferenceMs: 0, postprocessMs: 0 };
  return { detections: last, width, height, timing, capturedAt, serverMs: 0, isStill: true };
}
