/** The loop of a video: its frames to the engine, the newest first, and back as results. */
import type { DetectionResult } from "../device/detector";
import type { Frame } from "../device/protocol";
import { StreamUnsendable } from "../errors";
import type { RemoteResult } from "../remote/wire";
import type { Engine } from "./engine";
import { grabFrame, streamOf, watchFrames } from "./frames";
import { MedianMeter, RateMeter } from "./meters";
import { FrameRing } from "./ring";

/** What is watched: the <video>, or a still picture in its place. */
export interface Source {
  /** A new frame of a still picture, as often as asked; null for the video. */
  readonly takePhoto: (() => Promise<Frame>) | null;
}

/** One frame that was looked at. */
export interface Sighting {
  readonly result: DetectionResult;
  /** On the clock of performance.now(). */
  readonly capturedAt: number;
  /** The frame itself where it was asked for and can be had; whoever gets it closes it. */
  readonly picture: VideoFrame | null;
}

export interface LoopListener {
  onSighting(sighting: Sighting): void;
  /** The video goes on elsewhere, as when it begins anew: what was found before is not there. */
  onJump(): void;
  onError(error: unknown): void;
}

/** What may change from frame to frame. */
export interface LoopSettings {
  /** The least score that is asked for. */
  readonly threshold: number;
  readonly motion: boolean;
  readonly motionFactor: number;
  /** Least time between two frames that are looked at. */
  readonly minIntervalMs: number;
  /** Whether results come with their frames. */
  readonly keepsPictures: boolean;
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

export class VideoLoop {
  readonly #video: HTMLVideoElement;
  readonly #listener: LoopListener;
  readonly #settings: () => LoopSettings;
  readonly #rate = new RateMeter();
  readonly #latency = new MedianMeter();
  readonly #preprocess = new MedianMeter();
  readonly #inference = new MedianMeter();
  readonly #server = new MedianMeter();
  readonly #ending = new AbortController();
  #engine: Engine | null = null;
  #source: Source | null = null;
  #stopWatching: (() => void) | null = null;
  #framesDetected = 0;
  #framesReplaced = 0;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #jumpedAt = Number.NEGATIVE_INFINITY;

  constructor(video: HTMLVideoElement, settings: () => LoopSettings, listener: LoopListener) {
    this.#video = video;
    this.#settings = settings;
    this.#listener = listener;
    const on = (kinds: readonly string[], act: () => void) => {
      const { signal } = this.#ending;
      for (const kind of kinds) video.addEventListener(kind, act, { signal });
    };
    on(["seeking", "seeked", "emptied"], () => {
      this.#jumpedAt = performance.now();
      listener.onJump();
    });
    // A stream without frames would only be ended by the server: the paused frame is a picture.
    // Another source is another stream.
    on(["play", "pause", "loadeddata"], () => {
      if (this.#engine?.watch) this.#reconnect();
    });
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
    const isPaused = this.#video.paused && this.#video.readyState >= this.#video.HAVE_CURRENT_DATA;
    const takeFrame = source.takePhoto ?? (isPaused ? () => grabFrame(this.#video) : null);
    if (takeFrame === null) return;
    takeFrame().then(
      (frame) => this.#look(frame, performance.now(), false),
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

  close(): void {
    this.#disconnect();
    this.#ending.abort();
    this.#engine = null;
    this.#source = null;
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
    if (source.takePhoto === null) {
      try {
        this.#stopWatching = engine.watch ? this.#sendStream(engine.watch) : this.#sendFrames();
      } catch (error) {
        this.#listener.onError(error);
        return;
      }
    }
    this.refresh();
  }

  #sendFrames(): () => void {
    return watchFrames(this.#video, {
      wants: (now) => now - this.#lookedAt >= this.#settings().minIntervalMs,
      onFrame: (frame, capturedAt) => this.#look(frame, capturedAt, true),
      onError: (error) => this.#listener.onError(error),
    });
  }

  /** The stream goes to the server as it is; its frames are kept here until their boxes come. */
  #sendStream(watch: NonNullable<Engine["watch"]>): (() => void) | null {
    if (this.#video.paused) return null;
    const stream = streamOf(this.#video);
    if (stream === null) {
      throw new StreamUnsendable(
        "this browser can send the camera by WebRTC, but not a video file",
      );
    }
    const ring = new FrameRing();
    let isAnswered = false; // before, kept frames would only be missing to the camera
    const shown = playerOf(this.#video, stream);
    const stopRing = watchFrames(shown, {
      wants: () => isAnswered && this.#settings().keepsPictures,
      onFrame: (frame, capturedAt) => ring.add(frame, capturedAt),
      onError: () => undefined, // the server sees the stream all the same
    });
    const stopStream = watch(stream, (result) => {
      isAnswered = true;
      const { videoWidth, videoHeight } = this.#video;
      const picture = ring.take(result.capturedAt);
      this.#show(scaleTo(result, videoWidth, videoHeight), result.capturedAt, picture);
    });
    return () => {
      stopStream();
      stopRing();
      if (shown !== this.#video) shown.srcObject = null;
      ring.clear();
    };
  }

  async #look(frame: Frame, capturedAt: number, isPlaying: boolean): Promise<void> {
    const engine = this.#engine;
    const source = this.#source;
    if (engine === null || source === null) {
      frame.close();
      return;
    }
    const { threshold, motion, motionFactor, keepsPictures } = this.#settings();
    this.#lookedAt = performance.now();
    const picture = keepsPictures && isPlaying ? cloneOf(frame) : null;
    try {
      const result = await engine.detect(frame, {
        capturedAt,
        threshold,
        motion: motion && isPlaying,
        motionFactor,
      });
      if (engine !== this.#engine || source !== this.#source) picture?.close();
      else if (result !== null) this.#show(result, capturedAt, picture);
      else {
        this.#framesReplaced++;
        picture?.close();
      }
    } catch (error) {
      picture?.close();
      if (engine === this.#engine && source === this.#source) this.#listener.onError(error);
    }
  }

  #show(
    result: DetectionResult & Partial<RemoteResult>,
    capturedAt: number,
    picture: VideoFrame | null,
  ): void {
    this.#framesDetected++;
    if (capturedAt >= this.#jumpedAt) this.#listener.onSighting({ result, capturedAt, picture });
    else picture?.close();
    const now = performance.now();
    this.#rate.add(now);
    this.#latency.add(now - capturedAt);
    if (result.isStill) return; // nothing was computed
    this.#preprocess.add(result.timing.preprocessMs);
    this.#inference.add(result.timing.inferenceMs);
    if (result.serverMs !== undefined) this.#server.add(result.serverMs);
  }

  #clearMeters(): void {
    this.#rate.clear();
    for (const meter of [this.#latency, this.#preprocess, this.#inference, this.#server]) {
      meter.clear();
    }
  }
}

/** What plays the stream: a file is captured a varying time after the page's video has shown it. */
function playerOf(video: HTMLVideoElement, stream: MediaStream): HTMLVideoElement {
  if (video.srcObject === stream) return video;
  const player = document.createElement("video");
  player.muted = true;
  player.srcObject = stream;
  player.play().catch(() => undefined); // its frames are a picture beneath the boxes, no more
  return player;
}

/** Another reference to the frame's pixels; null where there is none but a copy. */
function cloneOf(frame: Frame): VideoFrame | null {
  return typeof VideoFrame !== "undefined" && frame instanceof VideoFrame ? frame.clone() : null;
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
