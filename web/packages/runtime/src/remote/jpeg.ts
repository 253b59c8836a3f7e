/** Frames as JPEG files, made in a worker, no wider than asked for; where asked, only moving ones. */

import type { Frame } from "../device/protocol";
import { DetectorDisposed, FrameUnusable, WorkerFailed } from "../errors";
import { startWorker } from "../workers";
import workerUrl from "./jpegworker?worker&url";

/** The width that frames had on their way to the server in 2017. */
export const DEFAULT_MAX_WIDTH = 640;
const DEFAULT_QUALITY = 0.8;

/** That a frame need not be encoded where nothing has moved since the last one that was. */
export interface MotionRequest {
  /** Of what counts as motion by default, how many times as much must move. */
  readonly factor: number;
  /** When the frame was captured, by any clock. */
  readonly timeS: number;
  /** Whether nothing is known of what was in that last one. */
  readonly isAnew: boolean;
}

/** To the worker, which closes the frame. */
export interface EncodeRequest {
  readonly frame: Frame;
  readonly maxWidth: number;
  readonly quality: number;
  readonly motion: MotionRequest | null;
}

/** What is left out is the encoder's choice. */
export interface EncodeOptions extends Pick<EncodeRequest, "frame" | "motion"> {
  readonly maxWidth?: number | undefined;
  readonly quality?: number | undefined;
}

/** From the worker: `width` x `height` is the frame's own size, as shown. */
export interface EncodedFrame {
  /** Null where nothing has moved. */
  readonly jpeg: ArrayBuffer | null;
  readonly width: number;
  readonly height: number;
}

export type EncodeAnswer = EncodedFrame | { readonly failure: string };

/** Encodes one frame at a time. */
export class JpegEncoder {
  readonly #worker = startWorker(workerUrl);
  #settle: ((answer: EncodeAnswer | Error) => void) | null = null;
  #hasFrame = false;
  #ended: Error | null = null;

  constructor() {
    this.#worker.onmessage = (event: MessageEvent<EncodeAnswer>) => this.#take(event.data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.end(new WorkerFailed(`the encoder's worker failed: ${event.message || "not loaded"}`));
      this.#worker.terminate();
    };
  }

  /** The frame, taken over and closed, as a JPEG. Rejects with FrameUnusable or WorkerFailed. */
  async encode(options: EncodeOptions): Promise<EncodedFrame> {
    const { maxWidth = DEFAULT_MAX_WIDTH, quality = DEFAULT_QUALITY } = options;
    const request: EncodeRequest = { ...options, maxWidth, quality };
    const answer = await new Promise<EncodeAnswer | Error>((resolve) => {
      if (this.#ended !== null) {
        request.frame.close();
        resolve(this.#ended);
        return;
      }
      this.#settle = resolve;
      this.#hasFrame = true;
      this.#worker.postMessage(request, [request.frame]);
    });
    this.#settle = null;
    if (answer instanceof Error) throw answer;
    if ("failure" in answer) throw new FrameUnusable(answer.failure);
    return answer;
  }

  end(reason: Error = new DetectorDisposed("the connection was closed")): void {
    if (this.#ended !== null) return;
    this.#ended = reason;
    // Ended with a frame in it, the worker would not close it: a camera has only a few.
    if (!this.#hasFrame) this.#worker.terminate();
    this.#settle?.(reason);
  }

  #take(answer: EncodeAnswer): void {
    this.#hasFrame = false;
    if (this.#ended === null) this.#settle?.(answer);
    else this.#worker.terminate();
  }
}
