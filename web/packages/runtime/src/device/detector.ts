/**
 * Detection on the device: frames go to a worker, the newest first, and come back as boxes.
 *
 * At most one frame is in the worker and one waits; a newer frame takes the place of the waiting
 * one. So the age of a result never grows, however slow the model is.
 */
import { DetectorDisposed, FrameUnusable } from "../errors";
import type { ModelLocation, ProgressListener } from "../model/fetch";
import type { Manifest, Runtime } from "../model/manifest";
import type { Backend } from "./graph";
import type { WorkerKeeper } from "./keeper";
import type { RawDetections } from "./postprocess";
import { type Frame, isFrame, kindOf, type WorkerTiming } from "./protocol";
import type { Attempt } from "./upgrade";

export interface DetectorOptions {
  /** Address of the bundle: its folder, its manifest.json, or of both files. */
  readonly model: string | ModelLocation;
  /** Of the model's server where it asks for one; it goes there alone. */
  readonly token?: string;
  /**
   * By default "auto": wasm at once, and WebGPU where it finds the same in less time. Another than
   * wasm is checked against wasm before it is used.
   */
  readonly backend?: "auto" | Backend["name"];
  /** Exactly so many threads; by default measured: more than one only where that is faster. */
  readonly threads?: number;
  /** The runtime that the model must be for. */
  readonly runtime?: Runtime;
  readonly onProgress?: ProgressListener;
  /** Told when another backend takes over. */
  readonly onBackend?: (backend: Backend) => void;
  readonly signal?: AbortSignal;
}

export interface Detection {
  readonly label: string;
  readonly labelId: number;
  readonly score: number;
  /** In pixels of the frame as shown. */
  readonly boxXyxy: readonly [x1: number, y1: number, x2: number, y2: number];
  /** Where objects are tracked: the same number for the same object. */
  readonly id?: number;
}

export interface DetectionResult {
  /** Best score first. */
  readonly detections: readonly Detection[];
  readonly width: number;
  readonly height: number;
  readonly timing: WorkerTiming;
  /** Whether nothing has moved since the frame before, whose detections still hold. */
  readonly isStill: boolean;
}

export interface DetectOptions {
  /** The least score that counts; by default the manifest's. */
  readonly threshold?: number;
  /** Whether nothing is to be computed where nothing has moved. */
  readonly motion?: boolean;
  /** Of what counts as motion by default, how many times as much must move. */
  readonly motionFactor?: number;
  /** When the frame was captured, on the clock of performance.now(); by default now. */
  readonly capturedAt?: number;
  readonly signal?: AbortSignal;
}

export interface Detector {
  readonly manifest: Manifest;
  /** What the model runs on now. */
  readonly backend: Backend;
  /** What was opened and tried, how fast it was, and why it is not used. */
  readonly report: readonly Attempt[];
  /**
   * What is in the frame, which is taken over and closed; null when a newer frame took its place.
   * Rejects with FrameUnusable for this frame alone, with WorkerFailed or OutOfMemory where fresh
   * workers did not help, or with the signal's reason.
   */
  detect(frame: Frame, options?: DetectOptions): Promise<DetectionResult | null>;
  /** Milliseconds of bare runs of the graph in the worker, for benchmarks. */
  measure(runs: number): Promise<readonly number[]>;
  /** End the worker and free its memory. */
  dispose(): void;
}

interface PendingFrame {
  readonly frame: Frame;
  readonly options: DetectOptions;
  readonly resolve: (result: Promise<DetectionResult> | null) => void;
}

export class WorkerDetector implements Detector {
  readonly manifest: Manifest;
  readonly #keeper: WorkerKeeper;
  readonly #onDetected: () => void;
  #isBusy = false;
  #isDisposed = false;
  #pending: PendingFrame | null = null;

  /** The detector owns the keeper; `onDetected` is called after each frame. */
  constructor(manifest: Manifest, keeper: WorkerKeeper, onDetected: () => void) {
    this.manifest = manifest;
    this.#keeper = keeper;
    this.#onDetected = onDetected;
  }

  get backend(): Backend {
    return this.#keeper.backend;
  }

  get report(): readonly Attempt[] {
    return this.#keeper.report;
  }

  async detect(frame: Frame, options: DetectOptions = {}): Promise<DetectionResult | null> {
    const { signal } = options;
    if (!isFrame(frame)) throw notAFrame(frame);
    if (this.#isDisposed || signal?.aborted) {
      frame.close();
      throw signal?.aborted ? signal.reason : new DetectorDisposed("the detector was disposed");
    }
    this.#dropPending();
    let abort = (): void => undefined;
    try {
      return await new Promise<DetectionResult | null>((resolve, reject) => {
        const pending = { frame, options, resolve };
        abort = () => {
          reject(signal?.reason);
          if (this.#pending === pending) this.#dropPending();
        };
        signal?.addEventListener("abort", abort);
        this.#pending = pending;
        this.#pump();
      });
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  async measure(runs: number): Promise<readonly number[]> {
    return await this.#keeper.measure(runs);
  }

  dispose(): void {
    this.#isDisposed = true;
    this.#dropPending();
    this.#keeper.dispose();
  }

  #dropPending(): void {
    this.#pending?.frame.close();
    this.#pending?.resolve(null);
    this.#pending = null;
  }

  #pump(): void {
    if (this.#isBusy || this.#pending === null) return;
    const { frame, options, resolve } = this.#pending;
    this.#pending = null;
    this.#isBusy = true;
    const result = this.#run(frame, options).finally(() => {
      this.#isBusy = false;
      frame.close();
      this.#pump();
    });
    result.catch(() => undefined); // whoever asked may have given up
    resolve(result);
  }

  async #run(frame: Frame, options: DetectOptions): Promise<DetectionResult> {
    const { threshold = this.manifest.scoreThreshold, capturedAt = performance.now() } = options;
    const { motion: isGated = false, motionFactor: factor = 1 } = options;
    const motion = isGated ? { timeS: capturedAt / 1000, factor } : null;
    const { found, width, height, timing } = await this.#keeper.detect(frame, {
      threshold,
      motion,
    });
    this.#onDetected();
    const detections = found === null ? [] : this.#label(found);
    return { detections, width, height, timing, isStill: found === null };
  }

  #label({ boxesXyxy, scores, labelIds }: RawDetections): Detection[] {
    return Array.from(scores, (score, index): Detection => {
      const labelId = labelIds[index] ?? -1;
      const edge = (offset: number) => boxesXyxy[index * 4 + offset] ?? 0;
      return {
        label: this.manifest.labels[labelId] ?? `class ${labelId}`,
        labelId,
        score,
        boxXyxy: [edge(0), edge(1), edge(2), edge(3)],
      };
    });
  }
}

/** Pages without type checking give whatever they have. */
function notAFrame(given: unknown): FrameUnusable {
  return new FrameUnusable(
    `detect takes an ImageBitmap or a VideoFrame, not ${kindOf(given)}; make one of a canvas, an ` +
      "<img> or a <video> with: await createImageBitmap(it)",
  );
}
