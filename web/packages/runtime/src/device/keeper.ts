/**
 * The worker in use. One that fails, hangs or dies is followed by a fresh one on wasm, in which the
 * same frame is looked at again; a worn or a better one's successor takes over between two frames.
 */
import {
  DetectorDisposed,
  FrameUnusable,
  firstLine,
  OutOfMemory,
  SightlineError,
  WorkerFailed,
} from "../errors";
import type { Model } from "../model/load";
import { EngineWorker, type Look } from "./engineworker";
import type { Backend } from "./graph";
import { RecoveryBudget } from "./lifetime";
import type { Answer, Frame } from "./protocol";
import { type Attempt, type Trial, tryBackend } from "./upgrade";

const MOST_RECOVERIES = 3;
/** What a fresh worker had no memory for, the next has not either. */
const MOST_MEMORY_RECOVERIES = 1;
const MOST_REPORTED = 30;

export interface KeeperListener {
  /** Another backend has taken over. */
  onBackend(backend: Backend): void;
  /** A worker failed on this backend. */
  onFailure(backend: Backend): void;
}

export class WorkerKeeper {
  readonly #model: Model;
  readonly #fallback: Backend;
  readonly #listener: KeeperListener;
  readonly #disposal = new AbortController();
  readonly #recoveries = new RecoveryBudget(MOST_RECOVERIES);
  readonly #memoryRecoveries = new RecoveryBudget(MOST_MEMORY_RECOVERIES);
  #backend: Backend;
  /** null after a failure, until a fresh one is open. */
  #worker: EngineWorker | null;
  #failure: SightlineError = new WorkerFailed("the worker failed");
  #opening: Promise<EngineWorker> | null = null;
  #isRunning = false;
  #successor: EngineWorker | null = null;
  #report: readonly Attempt[];

  /** `worker` is on wasm; the keeper ends it. */
  constructor(model: Model, worker: EngineWorker, listener: KeeperListener) {
    this.#model = model;
    this.#worker = worker;
    this.#fallback = worker.backend;
    this.#backend = worker.backend;
    this.#listener = listener;
    this.#report = [{ backend: worker.backend, medianMs: worker.medianMs, problem: null }];
  }

  /** The one in use, or the last one. */
  get backend(): Backend {
    return this.#backend;
  }

  /** What was opened and tried, in order. */
  get report(): readonly Attempt[] {
    return this.#report;
  }

  /** One at a time. The frame stays the caller's. */
  async detect(frame: Frame, look: Look): Promise<Answer & { kind: "detected" }> {
    this.#isRunning = true;
    try {
      for (;;) {
        const worker = await this.#ready();
        try {
          const answer = await worker.detect(frame, look);
          if (worker.isWorn && !worker.isRetiring) void this.#renew(worker);
          return answer;
        } catch (error) {
          if (this.#disposal.signal.aborted || error instanceof FrameUnusable) throw error;
          this.#drop(worker, error);
        }
      }
    } finally {
      this.#isRunning = false;
      this.#succeed();
    }
  }

  async measure(runs: number): Promise<readonly number[]> {
    return await (await this.#ready()).measure(runs);
  }

  /** Try another backend beside the worker, which it follows if it proves as good. */
  async upgrade(backend: Backend, isTimed: boolean): Promise<Trial> {
    const worker = await this.#ready();
    const { signal } = this.#disposal;
    const trial = await tryBackend(this.#model, backend, worker, { isTimed, signal });
    this.#note(trial.attempt);
    if (trial.worker !== null) this.#follow(worker, trial.worker);
    return trial;
  }

  dispose(): void {
    this.#disposal.abort(new DetectorDisposed("the detector was disposed"));
    this.#worker?.end();
    this.#successor?.end();
  }

  async #ready(): Promise<EngineWorker> {
    while (this.#worker === null) {
      this.#opening ??= this.#openFresh().finally(() => {
        this.#opening = null;
      });
      await this.#opening;
    }
    return this.#worker;
  }

  async #openFresh(): Promise<EngineWorker> {
    for (;;) {
      this.#spend(this.#failure);
      try {
        const fresh = await EngineWorker.open(this.#model, this.#fallback, this.#disposal.signal);
        this.#use(fresh);
        return fresh;
      } catch (error) {
        this.#disposal.signal.throwIfAborted();
        this.#failure = toSightlineError(error);
      }
    }
  }

  /** Raises OutOfMemory or WorkerFailed where there were enough fresh workers. */
  #spend(failure: SightlineError): void {
    const isMemory = failure instanceof OutOfMemory;
    const budget = isMemory ? this.#memoryRecoveries : this.#recoveries;
    if (budget.take(performance.now())) return;
    if (isMemory) throw new OutOfMemory(failure.message);
    throw new WorkerFailed(
      `the detector failed again and again, and is not started anew for now: ${failure.message}`,
      { cause: failure },
    );
  }

  #drop(worker: EngineWorker, error: unknown): void {
    worker.end();
    this.#failure = toSightlineError(error);
    this.#note({ backend: worker.backend, medianMs: null, problem: this.#failure.message });
    this.#listener.onFailure(worker.backend);
    if (this.#worker === worker) this.#worker = null;
  }

  /** A worker like this one, before its memory or its GPU's is exhausted. */
  async #renew(worker: EngineWorker): Promise<void> {
    worker.isRetiring = true;
    const { signal } = this.#disposal;
    try {
      this.#follow(worker, await EngineWorker.open(this.#model, worker.backend, signal));
    } catch (error) {
      // It goes on; should it fail, it is followed then.
      this.#note({ backend: worker.backend, medianMs: null, problem: firstLine(error) });
    }
  }

  /** Have `next` take over from `former`, unless that has been replaced meanwhile. */
  #follow(former: EngineWorker, next: EngineWorker): void {
    if (this.#worker !== former || this.#successor !== null) {
      next.end();
      return;
    }
    this.#successor = next;
    if (!this.#isRunning) this.#succeed();
  }

  #succeed(): void {
    const next = this.#successor;
    if (next === null) return;
    this.#successor = null;
    this.#worker?.end();
    this.#use(next);
  }

  #use(worker: EngineWorker): void {
    const former = this.#backend;
    this.#worker = worker;
    this.#backend = worker.backend;
    const isSame = former.name === worker.backend.name && former.threads === worker.backend.threads;
    if (!isSame) this.#listener.onBackend(worker.backend);
  }

  #note(attempt: Attempt): void {
    this.#report = [...this.#report, attempt].slice(-MOST_REPORTED);
  }
}

function toSightlineError(error: unknown): SightlineError {
  return error instanceof SightlineError ? error : new WorkerFailed(firstLine(error));
}
