/** The page's end of one worker: requests as promises. Ends the worker on its first failure. */
import { DetectorDisposed, fromWire, type SightlineError, WorkerFailed } from "../errors";
import { type Answer, type Request, transferables } from "./protocol";

type Body<R extends Request = Request> = R extends Request ? Omit<R, "id"> : never;
type AnswerOf<K extends Answer["kind"]> = Extract<Answer, { kind: K }>;

interface Waiting {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: SightlineError) => void;
}

export class WorkerLink {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 0;
  #ended: SightlineError | undefined;

  constructor() {
    this.#worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    this.#worker.onmessage = (event: MessageEvent<Answer>) => this.#settle(event.data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.end(new WorkerFailed(`the detector's worker failed: ${event.message || "not loaded"}`));
    };
    this.#worker.onmessageerror = () => {
      this.end(new WorkerFailed("the detector's worker sent what cannot be read"));
    };
  }

  /** The worker's answer. Rejects with the error it reports, or the one that ended it. */
  async ask<K extends Answer["kind"]>(kind: K, body: Body): Promise<AnswerOf<K>> {
    const request = { ...body, id: this.#nextId++ } as Request;
    const answer = await new Promise<Answer>((resolve, reject) => {
      if (this.#ended !== undefined) {
        if (request.kind === "detect") request.frame.close();
        reject(this.#ended);
        return;
      }
      this.#waiting.set(request.id, { resolve, reject });
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
    for (const { reject } of this.#waiting.values()) reject(reason);
    this.#waiting.clear();
  }

  #settle(answer: Answer): void {
    this.#waiting.get(answer.id)?.resolve(answer);
    this.#waiting.delete(answer.id);
  }
}
