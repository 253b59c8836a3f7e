/** Frames on their way to a server: one at a time, and of those that come meanwhile the newest. */
import type { Frame } from "../device/protocol";

export interface RemoteDetectOptions {
  /** When the frame was captured, by performance.now(); by default now. */
  readonly capturedAt?: number;
  /** Whether a frame in which nothing has moved need not be sent. */
  readonly motion?: boolean;
  /** Of what counts as motion by default, how many times as much must move. */
  readonly motionFactor?: number;
}

/** What is known of a frame on its way. */
export interface Sending {
  readonly frame: Frame;
  readonly capturedAt: number;
  readonly motion: { readonly factor: number } | null;
}

interface Pending<Result> extends Sending {
  readonly settle: (result: Promise<Result | null> | null) => void;
}

/** One frame is sent and one waits; a newer one takes the place of the one that waits. */
export class NewestFirst<Result> {
  readonly #send: (sending: Sending) => Promise<Result | null>;
  #isOpen = false;
  #isBusy = false;
  #failure: Error | null = null;
  #pending: Pending<Result> | undefined;

  /** `send` takes the frame over. */
  constructor(send: (sending: Sending) => Promise<Result | null>) {
    this.#send = send;
  }

  get isBusy(): boolean {
    return this.#isBusy;
  }

  /** Takes the frame over. Null when a newer one took its place. Waits while it is not open. */
  async add(frame: Frame, options: RemoteDetectOptions): Promise<Result | null> {
    if (this.#failure !== null) {
      frame.close();
      throw this.#failure;
    }
    this.#dropPending(null);
    const { capturedAt = performance.now(), motion = false, motionFactor = 1 } = options;
    return await new Promise<Result | null>((resolve) => {
      const gate = motion ? { factor: motionFactor } : null;
      this.#pending = { frame, capturedAt, motion: gate, settle: resolve };
      this.#pump();
    });
  }

  /** Send from now on. */
  open(): void {
    this.#isOpen = true;
    this.#pump();
  }

  /** Send nothing until it is opened again; the newest frame waits. */
  pause(): void {
    this.#isOpen = false;
  }

  /** Take no more frames. The one that waits ends in `reason` too, where it is told. */
  end(reason: Error, { isTold }: { readonly isTold: boolean }): void {
    this.#failure ??= reason;
    this.#dropPending(isTold ? reason : null);
  }

  #dropPending(reason: Error | null): void {
    if (this.#pending === undefined) return;
    this.#pending.frame.close();
    this.#pending.settle(reason === null ? null : Promise.reject(reason));
    this.#pending = undefined;
  }

  #pump(): void {
    if (this.#isBusy || this.#pending === undefined || !this.#isOpen) return;
    const { settle, ...sending } = this.#pending;
    this.#pending = undefined;
    this.#isBusy = true;
    const result = this.#send(sending).finally(() => {
      this.#isBusy = false;
      this.#pump();
    });
    settle(result);
  }
}
