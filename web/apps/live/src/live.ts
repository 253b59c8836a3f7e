/** The loop of the page: frames of the source to the detector, its results to the overlay. */
import {
  type DetectionResult,
  type Detector,
  type Frame,
  grabFrame,
  watchFrames,
} from "@sightline/web";
import { MedianMeter, RateMeter } from "./meters";
import type { Source } from "./source";

/** The page's slider can go down to this: lower scores are not even asked for. */
export const LEAST_THRESHOLD = 0.01;

export interface LiveListener {
  /** A result, in the moment it is drawn. */
  onResult(result: DetectionResult): void;
  onError(error: unknown): void;
}

/** Figures of the loop, in milliseconds; null while there is none. */
export interface LoopFigures {
  readonly framesPerSecond: number | null;
  readonly latencyMs: number | null;
  readonly preprocessMs: number | null;
  readonly inferenceMs: number | null;
  readonly framesDetected: number;
  /** Frames that a newer one replaced before the detector was free. */
  readonly framesReplaced: number;
}

export class LiveLoop {
  readonly #video: HTMLVideoElement;
  readonly #listener: LiveListener;
  readonly #rate = new RateMeter();
  readonly #latency = new MedianMeter();
  readonly #preprocess = new MedianMeter();
  readonly #inference = new MedianMeter();
  #detector: Detector | null = null;
  #source: Source | null = null;
  #stopWatching: (() => void) | null = null;
  #framesDetected = 0;
  #framesReplaced = 0;

  constructor(video: HTMLVideoElement, listener: LiveListener) {
    this.#video = video;
    this.#listener = listener;
  }

  setDetector(detector: Detector | null): void {
    this.#detector = detector;
    this.#clearMeters();
    this.refresh();
  }

  setSource(source: Source | null): void {
    this.#stopWatching?.();
    this.#stopWatching = null;
    this.#source = source;
    this.#clearMeters();
    this.#framesDetected = 0;
    this.#framesReplaced = 0;
    if (source !== null && source.takePhoto === null) {
      this.#stopWatching = watchFrames(
        this.#video,
        (frame, capturedAt) => this.#look(frame, capturedAt),
        (error) => this.#listener.onError(error),
      );
    }
    this.refresh();
  }

  /** Look once at what does not move: a photo, a paused video. */
  refresh(): void {
    const source = this.#source;
    if (source === null || this.#detector === null) return;
    const takeFrame =
      source.takePhoto ?? (this.#video.paused ? () => grabFrame(this.#video) : null);
    if (takeFrame === null) return;
    takeFrame().then(
      (frame) => this.#look(frame, performance.now()),
      (error: unknown) => this.#listener.onError(error),
    );
  }

  figures(): LoopFigures {
    return {
      framesPerSecond: this.#rate.perSecond(performance.now()),
      latencyMs: this.#latency.median(),
      preprocessMs: this.#preprocess.median(),
      inferenceMs: this.#inference.median(),
      framesDetected: this.#framesDetected,
      framesReplaced: this.#framesReplaced,
    };
  }

  async #look(frame: Frame, capturedAt: number): Promise<void> {
    const detector = this.#detector;
    const source = this.#source;
    if (detector === null || source === null) {
      frame.close();
      return;
    }
    const threshold = Math.min(LEAST_THRESHOLD, detector.manifest.scoreThreshold);
    try {
      const result = await detector.detect(frame, { threshold });
      if (detector !== this.#detector || source !== this.#source) return;
      if (result === null) {
        this.#framesReplaced++;
        return;
      }
      this.#framesDetected++;
      this.#listener.onResult(result);
      this.#record(result, capturedAt);
    } catch (error) {
      if (detector === this.#detector && source === this.#source) this.#listener.onError(error);
    }
  }

  #record(result: DetectionResult, capturedAt: number): void {
    const now = performance.now();
    this.#rate.add(now);
    this.#latency.add(now - capturedAt);
    this.#preprocess.add(result.timing.preprocessMs);
    this.#inference.add(result.timing.inferenceMs);
  }

  #clearMeters(): void {
    for (const meter of [this.#rate, this.#latency, this.#preprocess, this.#inference])
      meter.clear();
  }
}
