/** One worker with the model open in it, and what is known of its runs. */
import { FrameUnusable, firstLine } from "../errors";
import type { Model } from "../model/load";
import type { Backend } from "./graph";
import { hungAfterMs, isOutgrown, MOST_GPU_RUNS, medianOf, RecentMedian } from "./lifetime";
import type { GraphOutputs } from "./postprocess";
import { type Answer, type Frame, isVideoFrame, type MotionRequest } from "./protocol";
import { WorkerLink } from "./workerlink";

/** For loading the runtime and the first run, which on a GPU compiles. */
const OPENING_LIMIT_MS = 180_000;
const MEDIAN_OF = 15;

export interface Look {
  readonly threshold: number;
  readonly motion: MotionRequest | null;
}

export class EngineWorker {
  readonly backend: Backend;
  /** Whether a successor was or is being opened. */
  isRetiring = false;
  readonly #link: WorkerLink;
  readonly #openedBytes: number;
  readonly #inference = new RecentMedian(MEDIAN_OF);
  readonly #firstRunMs: number;
  #memoryBytes: number;
  #runs = 0;

  private constructor(link: WorkerLink, backend: Backend, opened: Answer & { kind: "opened" }) {
    this.#link = link;
    this.backend = backend;
    this.#openedBytes = opened.memoryBytes;
    this.#memoryBytes = opened.memoryBytes;
    this.#firstRunMs = opened.firstRunMs;
  }

  /** It has run once. Raises what the worker reports, WorkerFailed or the signal's reason. */
  static async open(model: Model, backend: Backend, signal?: AbortSignal): Promise<EngineWorker> {
    signal?.throwIfAborted();
    const link = new WorkerLink();
    const abort = () => link.end();
    signal?.addEventListener("abort", abort);
    try {
      const opened = await link.ask("opened", { kind: "open", model, backend }, OPENING_LIMIT_MS);
      return new EngineWorker(link, backend, opened);
    } catch (error) {
      link.end();
      throw signal?.aborted ? signal.reason : error;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Of the inferences of the last frames; of the first run where there were none. */
  get medianMs(): number {
    return this.#inference.count === 0 ? this.#firstRunMs : this.#inference.median;
  }

  /** Whether it should be exchanged for a fresh one. */
  get isWorn(): boolean {
    if (this.backend.name !== "wasm" && this.#runs > MOST_GPU_RUNS) return true;
    return isOutgrown(this.#memoryBytes, this.#openedBytes);
  }

  /** The frame stays the caller's. */
  async detect(frame: Frame, look: Look): Promise<Answer & { kind: "detected" }> {
    const request = { kind: "detect", frame: handOver(frame), ...look } as const;
    const answer = await this.#link.ask("detected", request, hungAfterMs(this.medianMs));
    this.#memoryBytes = answer.memoryBytes;
    if (answer.found !== null) {
      this.#inference.add(answer.timing.inferenceMs);
      this.#runs += 1;
    }
    return answer;
  }

  /** The graph's outputs for its input's `pixels`, or for those seen last, which come with them. */
  async look(
    pixels: Uint8Array<ArrayBuffer> | null,
  ): Promise<{ pixels: Uint8Array<ArrayBuffer>; outputs: GraphOutputs }> {
    const limitMs = hungAfterMs(this.medianMs);
    return await this.#link.ask("looked", { kind: "look", pixels }, limitMs);
  }

  /** Milliseconds of bare runs of the graph. */
  async measure(runs: number): Promise<readonly number[]> {
    const limitMs = runs * hungAfterMs(this.medianMs);
    return (await this.#link.ask("measured", { kind: "measure", runs }, limitMs)).runsMs;
  }

  /** Milliseconds of one of these runs. */
  async measureMedian(runs: number): Promise<number> {
    return medianOf(await this.measure(runs));
  }

  end(): void {
    this.#link.end();
  }
}

/**
 * What goes to the worker: for video another reference to the same frame, a bitmap is copied on its
 * way. So the page keeps the frame for a fresh worker, should this one fail.
 */
function handOver(frame: Frame): Frame {
  if (!isVideoFrame(frame)) return frame;
  try {
    return frame.clone();
  } catch (error) {
    throw new FrameUnusable(`the frame cannot be used: ${firstLine(error)}`);
  }
}
