/**
 * Detection on the device: frames go to a worker, the newest first, and come back as boxes.
 *
 * At most one frame is in the worker and one waits; a newer frame takes the place of the waiting
 * one. So the age of a result never grows, however slow the model is.
 */
import { DetectorDisposed } from "../errors";
import {
  fetchGraph,
  fetchManifest,
  locateModel,
  type ModelLocation,
  type ProgressListener,
} from "../model/fetch";
import type { Manifest } from "../model/manifest";
import type { Frame, WorkerTiming } from "./protocol";
import { chooseThreads, maxThreads, openWorker } from "./threads";
import type { WorkerLink } from "./workerlink";

export interface DetectorOptions {
  /** Address of the bundle: its folder, its manifest.json, or of both files. */
  readonly model: string | ModelLocation;
  /** Exactly so many threads; by default measured: more than one only where that is faster. */
  readonly threads?: number;
  readonly onProgress?: ProgressListener;
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
  /** Whether nothing has moved and these are the detections of an earlier frame. */
  readonly isStill: boolean;
}

export interface DetectOptions {
  /** The least score that counts; by default the manifest's. */
  readonly threshold?: number;
  /** Whether a frame in which nothing has moved need not be looked at. */
  readonly motion?: boolean;
  /** When the frame was captured, on the clock of performance.now(); by default now. */
  readonly capturedAt?: number;
  readonly signal?: AbortSignal;
}

export interface Backend {
  readonly name: "wasm";
  readonly threads: number;
}

export interface Detector {
  readonly manifest: Manifest;
  readonly backend: Backend;
  /**
   * What is in the frame, which is taken over and closed; null when a newer frame took its place.
   * Rejects with a SightlineError, or with the signal's reason.
   */
  detect(frame: Frame, options?: DetectOptions): Promise<DetectionResult | null>;
  /** Milliseconds of bare runs of the graph in the worker, for benchmarks. */
  measure(runs: number): Promise<readonly number[]>;
  /** End the worker and free its memory. */
  dispose(): void;
}

/**
 * A detector that has run once. Rejects with a ModelError, WebAssemblyUnsupported, WorkerFailed, or
 * the signal's reason.
 */
export async function createDetector(options: DetectorOptions): Promise<Detector> {
  const { signal } = options;
  const { manifestUrl, graphUrl } = locateModel(options.model);
  const manifest = await fetchManifest(manifestUrl, signal);
  const graph = await fetchGraph(graphUrl, manifest, options.onProgress, signal);
  const { link, threads } =
    options.threads === undefined
      ? await chooseThreads(manifest, graph, maxThreads(), signal)
      : {
          link: await openWorker(manifest, graph, options.threads, signal),
          threads: options.threads,
        };
  return new WorkerDetector(manifest, { name: "wasm", threads }, link);
}

interface PendingFrame {
  readonly frame: Frame;
  readonly threshold: number;
  readonly settle: (result: Promise<DetectionResult> | null) => void;
}

class WorkerDetector implements Detector {
  readonly manifest: Manifest;
  readonly backend: Backend;
  readonly #link: WorkerLink;
  #isBusy = false;
  #isDisposed = false;
  #pending: PendingFrame | undefined;

  constructor(manifest: Manifest, backend: Backend, link: WorkerLink) {
    this.manifest = manifest;
    this.backend = backend;
    this.#link = link;
  }

  async detect(frame: Frame, options: DetectOptions = {}): Promise<DetectionResult | null> {
    const { signal, threshold = this.manifest.scoreThreshold } = options;
    if (this.#isDisposed || signal?.aborted) {
      frame.close();
      throw signal?.aborted ? signal.reason : new DetectorDisposed("the detector was disposed");
    }
    this.#dropPending();
    const result = await new Promise<DetectionResult | null>((resolve) => {
      this.#pending = { frame, threshold, settle: resolve };
      this.#pump();
    });
    signal?.throwIfAborted();
    return result;
  }

  async measure(runs: number): Promise<readonly number[]> {
    return (await this.#link.ask("measured", { kind: "measure", runs })).runsMs;
  }

  dispose(): void {
    this.#isDisposed = true;
    this.#dropPending();
    this.#link.end();
  }

  #dropPending(): void {
    this.#pending?.frame.close();
    this.#pending?.settle(null);
    this.#pending = undefined;
  }

  #pump(): void {
    if (this.#isBusy || this.#pending === undefined) return;
    const { frame, threshold, settle } = this.#pending;
    this.#pending = undefined;
    this.#isBusy = true;
    const result = this.#run(frame, threshold).finally(() => {
      this.#isBusy = false;
      this.#pump();
    });
    settle(result);
  }

  async #run(frame: Frame, threshold: number): Promise<DetectionResult> {
    const answer = await this.#link.ask("detected", { kind: "detect", frame, threshold });
    const { boxesXyxy, scores, labelIds } = answer.found;
    const detections = Array.from(scores, (score, index): Detection => {
      const labelId = labelIds[index] ?? -1;
      const edge = (offset: number) => boxesXyxy[index * 4 + offset] ?? 0;
      return {
        label: this.manifest.labels[labelId] ?? `class ${labelId}`,
        labelId,
        score,
        boxXyxy: [edge(0), edge(1), edge(2), edge(3)],
      };
    });
    return {
      detections,
      width: answer.width,
      height: answer.height,
      timing: answer.timing,
      isStill: false,
    };
  }
}
