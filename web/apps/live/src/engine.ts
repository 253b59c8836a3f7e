/** What finds the objects for the page: the model in its worker, or the server. */
import {
  connectWebRtc,
  connectWebSocket,
  type DetectionResult,
  type Detector,
  type Frame,
  type RemoteDetector,
  type RemoteOptions,
  type RemoteResult,
  type RemoteState,
  type RemoteStream,
  type SightlineError,
} from "@sightline/web";
import type { CatalogueModel } from "./catalogue";
import type { Place } from "./place";

/** The page's slider can go down to this: lower scores are not even asked for. */
export const LEAST_THRESHOLD = 0.01;

export interface Engine {
  readonly place: Place;
  readonly labels: readonly string[];
  /** The model's own. */
  readonly scoreThreshold: number;
  /** The model in the page's worker, if it runs there. */
  readonly detector: Detector | null;
  /** Whether a video's frames are given to `detect`; else the stream itself to `watch`. */
  readonly takesFrames: boolean;
  /** What is in the frame, which is taken over; null when a newer one took its place. */
  detect(frame: Frame, capturedAt: number): Promise<DetectionResult | null>;
  /** What is in the stream's frames, until the returned function is called. */
  watch(stream: MediaStream, onResult: (result: RemoteResult) => void): () => void;
  /** Have scores from here on told; true when what is shown must be looked at again for it. */
  askFrom(threshold: number): boolean;
  /** Nothing is shown now: connections are ended. */
  rest(): void;
  close(): void;
}

export class DeviceEngine implements Engine {
  readonly place = "device";
  readonly takesFrames = true;
  readonly detector: Detector;

  constructor(detector: Detector) {
    this.detector = detector;
  }

  get labels(): readonly string[] {
    return this.detector.manifest.labels;
  }

  get scoreThreshold(): number {
    return this.detector.manifest.scoreThreshold;
  }

  detect(frame: Frame): Promise<DetectionResult | null> {
    const threshold = Math.min(LEAST_THRESHOLD, this.scoreThreshold);
    return this.detector.detect(frame, { threshold });
  }

  watch(): () => void {
    throw new Error("the worker is given frames, not streams");
  }

  askFrom(): boolean {
    return false; // all scores are told anyway
  }

  rest(): void {}

  close(): void {
    this.detector.dispose();
  }
}

export interface ServerListener {
  onState(state: RemoteState): void;
  onFrameError(error: SightlineError): void;
}

/** Connects when there is something to look at. Single pictures go by WebSocket in any case. */
export class ServerEngine implements Engine {
  readonly place: Exclude<Place, "device">;
  readonly labels: readonly string[];
  readonly scoreThreshold: number;
  readonly detector = null;
  readonly #model: string;
  readonly #listener: ServerListener;
  #threshold: number;
  #pictures: RemoteDetector | null = null;
  #video: RemoteStream | null = null;

  constructor(place: Exclude<Place, "device">, model: CatalogueModel, listener: ServerListener) {
    this.place = place;
    this.labels = model.labels;
    this.scoreThreshold = model.scoreThreshold;
    this.#threshold = model.scoreThreshold;
    this.#model = model.name;
    this.#listener = listener;
  }

  get takesFrames(): boolean {
    return this.place === "websocket";
  }

  detect(frame: Frame, capturedAt: number): Promise<DetectionResult | null> {
    this.#pictures ??= connectWebSocket({
      ...this.#options(),
      onState: (state) => this.#listener.onState(state),
    });
    return this.#pictures.detect(frame, { capturedAt });
  }

  watch(stream: MediaStream, onResult: (result: RemoteResult) => void): () => void {
    const video = connectWebRtc({
      ...this.#options(),
      stream,
      onResult,
      onState: (state) => this.#listener.onState(state),
      onFrameError: (error) => this.#listener.onFrameError(error),
    });
    this.#video = video;
    return () => video.close();
  }

  /** Only downwards: what is known of higher scores is filtered in the page, without a delay. */
  askFrom(threshold: number): boolean {
    if (threshold >= this.#threshold) return false;
    this.#threshold = threshold;
    this.#pictures?.setThreshold(threshold);
    this.#video?.setThreshold(threshold);
    return true;
  }

  rest(): void {
    this.#pictures?.close();
    this.#pictures = null;
    this.#video?.close();
    this.#video = null;
  }

  close(): void {
    this.rest();
  }

  #options(): RemoteOptions {
    return { model: this.#model, threshold: this.#threshold };
  }
}
