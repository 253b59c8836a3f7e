/** The page's end of one worker: requests as promises. Ends the worker on its first failure. */
import { DetectorDisposed, fromWire, type SightlineError, WorkerFailed } from "../errors";
import { startWorker } from "../workers";
import { type Answer, isVideoFrame, type Request, transferables } from "./protocol";
import workerUrl from "./worker?worker&url";

type Body<R extends Request = Request> = R extends Request ? Omit<R, "id"> : never;
type AnswerOf<K extends Answer["kind"]> = Extract<Answer, { kind: K }>;

interface Waiting {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: SightlineError) => void;
  readonly stopWatching: () => void;
}

export class WorkerLink {
  readonly #worker = startWorker(workerUrl);
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 0;
  #ended: SightlineError | undefined;

  constructor() {
    this.#worker.onmessage = (event: MessageEvent<Answer>) => this.#settle(event.data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.end(new WorkerFailed(`the detector's worker failed: ${event.message || "not loaded"}`));
    };
    this.#worker.onmessageerror = () => {
      this.end(new WorkerFailed("the detector's worker sent what cannot be read"));
    };
  }

  /**
   * The worker's answer; a worker that gives none within `limitMs` is ended. Rejects with the error
   * it reports, or the one that ended it. A video frame is taken over.
   */
  async ask<K extends Answer["kind"]>(kind: K, body: Body, limitMs: number): Promise<AnswerOf<K>> {
    const request = { ...body, id: this.#nextId++ } as Request;
    const answer = await new Promise<Answer>((resolve, reject) => {
      if (this.#ended !== undefined) {
        if (request.kind === "detect" && isVideoFrame(request.frame)) request.frame.close();
        reject(this.#ended);
        return;
      }
      const stopWatching = callAfter(limitMs, () => {
        const seconds = Math.round(limitMs / 1000);
        this.end(new WorkerFailed(`the detector's worker gave no answer for ${seconds} s`));
      });
      this.#waiting.set(request.id, { resolve, reject, stopWatching });
      this.#worker.postMessage(request, transferables(request));
    });
    if (answer.kind === "failed") throw fromWire(answer.error);
    if (answer.kind !== kind) throw new WorkerFailed(`${kind} expected, the worker ${answer.kind}`);
    return answer as AnswerOf<K>;
  }

  /** Stop the worker, which also frees its wasm memory; what waits is rejected. */
  end(reason: SightlineError = new DetectorDisposed("the detector was disposed")): void {
    if (this.#ended !== undefined) return;
    this.#ended = reason;
    this.#worker.terminate();
    for (const { reject, stopWatching } of this.#waiting.values()) {
      stopWatching();
      reject(reason);
    }
    this.#waiting.clear();
  }

  #settle(answer: Answer): void {
    if (answer.kind === "lost") {
      this.end(new WorkerFailed(answer.reason));
      return;
    }
    const waiting = this.#waiting.get(answer.id);
    waiting?.stopWatching();
    waiting?.resolve(answer);
    this.#waiting.delete(answer.id);
  }
}

/** Calls back after so long, until the returned function is called. */
function callAfter(limitMs: number, onTime: () => void): () => void {
  let timer: ReturnType<typeof setTimeout>;
  const start = (): void => {
    const due = performance.now() + limitMs;
    timer = setTimeout(() => {
      // Far too late: this device slept, and the worker with it.
      if (performance.now() > due + limitMs / 2) start();
      else onTime();
    }, limitMs);
  };
  start();
  return () => clearTimeout(timer);
}
