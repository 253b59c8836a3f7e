/** The loop of the page: frames of the source to the engine, its results to the overlay. */
import {
  type DetectionResult,
  type Frame,
  grabFrame,
  type RemoteResult,
  watchFrames,
} from "@sightline/web";
import type { Engine } from "./engine";
import { MedianMeter, RateMeter } from "./meters";
import type { Source } from "./source";

export interface LiveListener {
  /** A result, in the moment it is drawn. */
  onResult(result: DetectionResult): void;
  /** The video goes on elsewhere, as when it begins anew: what was found before is not there. */
  onJump(): void;
  onError(error: unknown): void;
}

/** Figures of the loop, in milliseconds; null while there is none. */
export interface LoopFigures {
  readonly framesPerSecond: number | null;
  /** From the capture of a frame to its boxes. */
  readonly latencyMs: number | null;
  readonly preprocessMs: number | null;
  readonly inferenceMs: number | null;
  /** From a frame's arrival at the server to its answer. */
  readonly serverMs: number | null;
  readonly framesDetected: number;
  /** Frames that a newer one replaced before the engine was free. */
  readonly framesReplaced: number;
}

export class LiveLoop {
  readonly #video: HTMLVideoElement;
  readonly #listener: LiveListener;
  readonly #rate = new RateMeter();
  readonly #latency = new MedianMeter();
  readonly #preprocess = new MedianMeter();
  readonly #inference = new MedianMeter();
  readonly #server = new MedianMeter();
  #engine: Engine | null = null;
  #source: Source | null = null;
  #stopWatching: (() => void) | null = null;
  #framesDetected = 0;
  #framesReplaced = 0;
  #jumpedAt = Number.NEGATIVE_INFINITY;

  constructor(video: HTMLVideoElement, listener: LiveListener) {
    this.#video = video;
    this.#listener = listener;
    for (const kind of ["seeking", "seeked"]) {
      video.addEventListener(kind, () => {
        this.#jumpedAt = performance.now();
        listener.onJump();
      });
    }
    // A stream without frames would only be ended by the server: the paused frame is a picture.
    for (const kind of ["play", "pause"]) {
      video.addEventListener(kind, () => {
        if (this.#engine?.takesFrames === false) this.#reconnect();
      });
    }
  }

  setEngine(engine: Engine | null): void {
    this.#disconnect();
    this.#engine = engine;
    this.#connect();
  }

  setSource(source: Source | null): void {
    this.#disconnect();
    this.#source = source;
    this.#framesDetected = 0;
    this.#framesReplaced = 0;
    this.#connect();
  }

  /** Look once at what does not move: a photo, a paused video. */
  refresh(): void {
    const source = this.#source;
    if (source === null || this.#engine === null) return;
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
      serverMs: this.#server.median(),
      framesDetected: this.#framesDetected,
      framesReplaced: this.#framesReplaced,
    };
  }

  #reconnect(): void {
    this.#disconnect();
    this.#connect();
  }

  #disconnect(): void {
    this.#stopWatching?.();
    this.#stopWatching = null;
    this.#engine?.rest();
    this.#clearMeters();
  }

  #connect(): void {
    const [source, engine] = [this.#source, this.#engine];
    if (source === null || engine === null) return;
    try {
      const isStream = !engine.takesFrames;
      if (source.openStream !== null && !(isStream && this.#video.paused)) {
        this.#stopWatching = this.#watch(source.openStream, engine);
      }
    } catch (error) {
      this.#listener.onError(error);
      return;
    }
    this.refresh();
  }

  #watch(openStream: () => MediaStream, engine: Engine): () => void {
    if (!engine.takesFrames) {
      return engine.watch(openStream(), (result) => {
        const { videoWidth, videoHeight } = this.#video;
        this.#show(scaleTo(result, videoWidth, videoHeight), result.capturedAt);
      });
    }
    return watchFrames(
      this.#video,
      (frame, capturedAt) => this.#look(frame, capturedAt),
      (error) => this.#listener.onError(error),
    );
  }

  async #look(frame: Frame, capturedAt: number): Promise<void> {
    const engine = this.#engine;
    const source = this.#source;
    if (engine === null || source === null) {
      frame.close();
      return;
    }
    try {
      const result = await engine.detect(frame, capturedAt);
      if (engine !== this.#engine || source !== this.#source) return;
      if (result === null) this.#framesReplaced++;
      else this.#show(result, capturedAt);
    } catch (error) {
      if (engine === this.#engine && source === this.#source) this.#listener.onError(error);
    }
  }

  #show(result: DetectionResult & Partial<RemoteResult>, capturedAt: number): void {
    this.#framesDetected++;
    if (capturedAt >= this.#jumpedAt) this.#listener.onResult(result);
    const now = performance.now();
    this.#rate.add(now);
    this.#latency.add(now - capturedAt);
    this.#preprocess.add(result.timing.preprocessMs);
    this.#inference.add(result.timing.inferenceMs);
    if (result.serverMs !== undefined) this.#server.add(result.serverMs);
  }

  #clearMeters(): void {
    for (const meter of [
      this.#rate,
      this.#latency,
      this.#preprocess,
      this.#inference,
      this.#server,
    ])
      meter.clear();
  }
}

/** The result for a picture of this size: video is made smaller on its way to the server. */
export function scaleTo(result: RemoteResult, width: number, height: number): RemoteResult {
  if (width === 0 || height === 0) return result;
  const [across, down] = [width / result.width, height / result.height];
  const detections = result.detections.map((found) => {
    const [x1, y1, x2, y2] = found.boxXyxy;
    return { ...found, boxXyxy: [x1 * across, y1 * down, x2 * across, y2 * down] as const };
  });
  return { ...result, width, height, detections };
}
