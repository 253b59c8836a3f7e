/**
 * Detection on a server over WebSocket: frames as JPEG files, one at a time, the newest first.
 *
 * At most one frame is on its way and one waits; a newer frame takes the place of the waiting one.
 */

import type { Detection } from "../device/detector";
import type { Frame } from "../device/protocol";
import { DetectorDisposed, RemoteUnreachable } from "../errors";
import { JpegEncoder } from "./jpeg";
import { keepConnected, type RemoteState } from "./reconnect";
import { socketConnection } from "./socket";
import {
  type FrameAnswer,
  type RemoteMessage,
  type RemoteOptions,
  type RemoteResult,
  toResult,
} from "./wire";

export interface WebSocketOptions extends RemoteOptions {
  /** Wider frames are made so wide before they are sent. */
  readonly maxWidth?: number;
  /** Of the JPEG files, 0..1. */
  readonly quality?: number;
  readonly onState?: (state: RemoteState) => void;
}

export interface RemoteDetectOptions {
  /** When the frame was captured, by performance.now(); by default now. */
  readonly capturedAt?: number;
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

/** The width that frames had on their way to the server in 2017. */
export const DEFAULT_MAX_WIDTH = 640;
const DEFAULT_QUALITY = 0.8;
const ANSWER_MS = 10_000;
/** The server ends connections that it hears nothing on for a minute, as of a paused video. */
const STILL_HERE_MS = 25_000;

/** A detector that connects by itself, now and again when the connection broke. */
export function connectWebSocket(options: WebSocketOptions = {}): RemoteDetector {
  return new SocketDetector(options);
}

interface PendingFrame {
  readonly frame: Frame;
  readonly capturedAt: number;
  readonly settle: (result: Promise<RemoteResult | null> | null) => void;
}

class SocketDetector implements RemoteDetector {
  readonly #encoder = new JpegEncoder();
  readonly #ending = new AbortController();
  #options: WebSocketOptions;
  #socket: WebSocket | null = null;
  #labels: readonly string[] = [];
  #last: readonly Detection[] = [];
  #isBusy = false;
  #failure: Error | null = null;
  #stillHere: ReturnType<typeof setInterval> | undefined;
  #pending: PendingFrame | undefined;
  /** Takes the answer of the frame that is on its way; null when the connection broke. */
  #answered: ((message: RemoteMessage | null) => void) | null = null;

  constructor(options: WebSocketOptions) {
    this.#options = options;
    const connect = socketConnection(() => this.#options, {
      onOpen: (socket) => {
        this.#socket = socket;
        clearInterval(this.#stillHere);
        this.#stillHere = setInterval(() => this.#tell({}), STILL_HERE_MS);
        this.#pump();
      },
      onMessage: (message) => this.#answered?.(message),
      onClosed: () => {
        this.#socket = null;
        clearInterval(this.#stillHere);
        this.#answered?.(null);
      },
    });
    keepConnected(connect, (state) => this.#follow(state), this.#ending.signal);
  }

  async detect(frame: Frame, options: RemoteDetectOptions = {}): Promise<RemoteResult | null> {
    if (this.#failure !== null) {
      frame.close();
      throw this.#failure;
    }
    this.#dropPending(null);
    const capturedAt = options.capturedAt ?? performance.now();
    return await new Promise<RemoteResult | null>((resolve) => {
      this.#pending = { frame, capturedAt, settle: resolve };
      this.#pump();
    });
  }

  setThreshold(threshold: number): void {
    this.#options = { ...this.#options, threshold };
    this.#tell({ threshold });
  }

  close(): void {
    this.#failure ??= new DetectorDisposed("the connection was closed");
    this.#dropPending(null);
    this.#ending.abort(this.#failure);
    this.#encoder.end();
  }

  #tell(changes: { readonly threshold?: number }): void {
    if (this.#isBusy && changes.threshold === undefined) return; // frames say the same
    this.#socket?.send(JSON.stringify({ type: "options", ...changes }));
  }

  #follow(state: RemoteState): void {
    if (state.kind === "ready") {
      this.#labels = state.labels;
      this.#last = [];
    }
    if (state.kind === "failed") {
      this.#failure = state.error;
      this.#dropPending(state.error);
    }
    this.#options.onState?.(state);
  }

  #dropPending(reason: Error | null): void {
    if (this.#pending === undefined) return;
    this.#pending.frame.close();
    this.#pending.settle(reason === null ? null : Promise.reject(reason));
    this.#pending = undefined;
  }

  #pump(): void {
    if (this.#isBusy || this.#pending === undefined || this.#socket === null) return;
    const pending = this.#pending;
    this.#pending = undefined;
    this.#isBusy = true;
    const result = this.#ask(pending, this.#socket).finally(() => {
      this.#isBusy = false;
      this.#pump();
    });
    pending.settle(result);
  }

  async #ask(pending: PendingFrame, socket: WebSocket): Promise<RemoteResult | null> {
    const { maxWidth = DEFAULT_MAX_WIDTH, quality = DEFAULT_QUALITY } = this.#options;
    const { jpeg, ...size } = await this.#encoder.encode({
      frame: pending.frame,
      maxWidth,
      quality,
    });
    if (socket.readyState !== WebSocket.OPEN) return null;
    const answer = await this.#exchange(socket, jpeg);
    if (answer === null) return null;
    const result = toResult(answer, this.#labels, pending.capturedAt, this.#last, size);
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
