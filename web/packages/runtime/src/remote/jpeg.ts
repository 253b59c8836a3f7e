/** Frames as JPEG files, made in a worker, no wider than asked for. */

import type { Frame } from "../device/protocol";
import { DetectorDisposed, FrameUnusable, WorkerFailed } from "../errors";
import { startWorker } from "../workers";
import workerUrl from "./jpegworker?worker&url";

/** To the worker, which closes the frame. */
export interface EncodeRequest {
  readonly frame: Frame;
  readonly maxWidth: number;
  readonly quality: number;
}

/** From the worker: `width` x `height` is the frame's own size, as shown. */
export interface EncodedFrame {
  readonly jpeg: ArrayBuffer;
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
  async encode(request: EncodeRequest): Promise<EncodedFrame> {
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
