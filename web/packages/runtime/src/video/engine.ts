/** What finds the objects of a video: a model in this page's worker, or a server. */
import type { DetectionResult, Detector } from "../device/detector";
import type { Frame } from "../device/protocol";
import type { SightlineError } from "../errors";
import { connectHttp } from "../remote/http";
import type { RemoteDetectOptions } from "../remote/newest";
import type { RemoteState } from "../remote/reconnect";
import { connectWebRtc, type RemoteStream } from "../remote/webrtc";
import { connectWebSocket } from "../remote/websocket";
import type { RemoteOptions, RemoteResult } from "../remote/wire";

/** How pictures get to a server. */
export type Transport = "http" | "websocket" | "webrtc";

export interface LookOptions {
  /** When the frame was captured, on the clock of performance.now(). */
  readonly capturedAt: number;
  /** The least score that counts. */
  readonly threshold: number;
  /** Whether a frame in which nothing has moved need not be looked at. */
  readonly motion: boolean;
  /** Of what counts as motion by default, how many times as much must move. */
  readonly motionFactor: number;
}

export interface Engine {
  /** Labels in order; empty until they are known. */
  readonly labels: readonly string[];
  /** The model's own; null until it is known. */
  readonly scoreThreshold: number | null;
  /** The model in the page's worker, if it runs there. */
  readonly detector: Detector | null;
  /** What is in the frame, which is taken over; null when a newer one took its place. */
  detect(frame: Frame, options: LookOptions): Promise<DetectionResult | null>;
  /**
   * Where the stream itself is sent and not its frames: what is in them, until the returned
   * function is called.
   */
  readonly watch:
    | ((stream: MediaStream, onResult: (result: RemoteResult) => void) => () => void)
    | null;
  /** Have scores from here on told. May tell of lower ones too. */
  setThreshold(threshold: number): void;
  /** Nothing is shown now: connections are ended, to be opened again by the next frame. */
  rest(): void;
  /** End for good. */
  close(): void;
}

/** The model on this device. The engine owns the detector. */
export class DeviceEngine implements Engine {
  readonly detector: Detector;
  readonly watch = null;

  constructor(detector: Detector) {
    this.detector = detector;
  }

  get labels(): readonly string[] {
    return this.detector.manifest.labels;
  }

  get scoreThreshold(): number {
    return this.detector.manifest.scoreThreshold;
  }

  detect(frame: Frame, options: LookOptions): Promise<DetectionResult | null> {
    return this.detector.detect(frame, options);
  }

  setThreshold(): void {} // told with every frame

  rest(): void {}

  close(): void {
    this.detector.dispose();
  }
}

export interface ServerListener {
  onState(state: RemoteState): void;
  /** An error of one frame; the next may be better. */
  onFrameError(error: SightlineError): void;
}

/** What a server is asked for, and how wide pictures are sent at most. */
export interface ServerOptions extends RemoteOptions {
  readonly maxWidth?: number;
}

/** A connection that takes frame by frame. */
interface FrameConnection {
  detect(frame: Frame, options: RemoteDetectOptions): Promise<DetectionResult | null>;
  setThreshold(threshold: number): void;
  close(): void;
}

/** A server, frame by frame. Connects with the first frame. */
abstract class FrameEngine implements Engine {
  readonly detector = null;
  readonly watch = null;
  labels: readonly string[] = [];
  scoreThreshold: number | null = null;
  readonly #listener: ServerListener;
  #options: ServerOptions;
  #connection: FrameConnection | null = null;

  constructor(options: ServerOptions, listener: ServerListener) {
    this.#options = options;
    this.#listener = listener;
  }

  protected abstract connect(
    options: ServerOptions & { readonly onState: (state: RemoteState) => void },
  ): FrameConnection;

  detect(frame: Frame, options: LookOptions): Promise<DetectionResult | null> {
    this.#connection ??= this.connect({
      ...this.#options,
      onState: (state) => this.#follow(state),
    });
    return this.#connection.detect(frame, options);
  }

  setThreshold(threshold: number): void {
    if (!isNews(threshold, this.#options)) return;
    this.#options = { ...this.#options, threshold };
    this.#connection?.setThreshold(threshold);
  }

  rest(): void {
    this.#connection?.close();
    this.#connection = null;
  }

  close(): void {
    this.rest();
  }

  #follow(state: RemoteState): void {
    if (state.kind === "ready") {
      this.labels = state.labels;
      this.scoreThreshold ??= state.threshold;
    }
    this.#listener.onState(state);
  }
}

/** A server, frame by frame over a WebSocket. */
export class SocketEngine extends FrameEngine {
  protected override connect(options: Parameters<typeof connectWebSocket>[0]): FrameConnection {
    return connectWebSocket(options);
  }
}

/** A server, also one of 2017, by one HTTP request a frame. */
export class HttpEngine extends FrameEngine {
  protected override connect(options: Parameters<typeof connectHttp>[0]): FrameConnection {
    return connectHttp(options);
  }
}

/** A server that is sent the stream itself over WebRTC; single pictures go by WebSocket. */
export class PeerEngine implements Engine {
  readonly detector = null;
  readonly #pictures: SocketEngine;
  readonly #listener: ServerListener;
  #options: ServerOptions;
  #stream: RemoteStream | null = null;

  constructor(options: ServerOptions, listener: ServerListener) {
    this.#options = options;
    this.#listener = listener;
    this.#pictures = new SocketEngine({ ...options, motion: false }, listener);
  }

  get labels(): readonly string[] {
    return this.#pictures.labels;
  }

  get scoreThreshold(): number | null {
    return this.#pictures.scoreThreshold;
  }

  detect(frame: Frame, options: LookOptions): Promise<DetectionResult | null> {
    return this.#pictures.detect(frame, options);
  }

  readonly watch = (
    stream: MediaStream,
    onResult: (result: RemoteResult) => void,
  ): (() => void) => {
    const connection = connectWebRtc({
      ...this.#options,
      stream,
      onResult,
      onState: (state) => {
        if (state.kind === "ready") {
          this.#pictures.labels = state.labels;
          this.#pictures.scoreThreshold ??= state.threshold;
        }
        this.#listener.onState(state);
      },
      onFrameError: (error) => this.#listener.onFrameError(error),
    });
    this.#stream = connection;
    return () => connection.close();
  };

  setThreshold(threshold: number): void {
    if (!isNews(threshold, this.#options)) return;
    this.#options = { ...this.#options, threshold };
    this.#pictures.setThreshold(threshold);
    this.#stream?.setThreshold(threshold);
  }

  rest(): void {
    this.#pictures.rest();
    this.#stream?.close();
    this.#stream = null;
  }

  close(): void {
    this.rest();
  }
}

/** Of higher scores a server has told already. */
function isNews(threshold: number, { threshold: former }: RemoteOptions): boolean {
  return former === undefined || threshold < former;
}
