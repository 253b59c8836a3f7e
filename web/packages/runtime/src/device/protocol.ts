/**
 * Every message between the page and its worker. Frames and result buffers are transferred, so each
 * has one owner at a time; whoever holds a frame closes it.
 */
import type { WireError } from "../errors";
import type { Model } from "../model/load";
import type { Backend } from "./graph";
import type { GraphOutputs, RawDetections } from "./postprocess";

/** What can be detected on: both are transferable and hold pixels outside the JavaScript heap. */
export type Frame = VideoFrame | ImageBitmap;

/** When the frame was captured, and of what counts as motion how many times as much must move. */
export interface MotionRequest {
  readonly timeS: number;
  readonly factor: number;
}

/** To the worker. It answers each message once, in order, by an answer of the same `id`. */
export type Request =
  | { readonly kind: "open"; readonly id: number; readonly model: Model; readonly backend: Backend }
  | {
      readonly kind: "detect";
      readonly id: number;
      readonly frame: Frame;
      readonly threshold: number;
      /** That nothing is to be computed where nothing has moved; null: in any case. */
      readonly motion: MotionRequest | null;
    }
  | {
      /** Run the graph on these pixels (its input's size, RGB), or on those seen last. */
      readonly kind: "look";
      readonly id: number;
      readonly pixels: Uint8Array<ArrayBuffer> | null;
    }
  | { readonly kind: "measure"; readonly id: number; readonly runs: number };

/** From the worker. */
export type Answer =
  | {
      readonly kind: "opened";
      readonly id: number;
      /** Of WebAssembly, after the first run. */
      readonly memoryBytes: number;
      readonly firstRunMs: number;
    }
  | {
      readonly kind: "detected";
      readonly id: number;
      /** null where nothing has moved. */
      readonly found: RawDetections | null;
      readonly width: number;
      readonly height: number;
      readonly timing: WorkerTiming;
      readonly memoryBytes: number;
    }
  | {
      readonly kind: "looked";
      readonly id: number;
      readonly pixels: Uint8Array<ArrayBuffer>;
      readonly outputs: GraphOutputs;
    }
  | { readonly kind: "measured"; readonly id: number; readonly runsMs: readonly number[] }
  | { readonly kind: "failed"; readonly id: number; readonly error: WireError }
  /** Not asked for: the worker can run no more. */
  | { readonly kind: "lost"; readonly id: -1; readonly reason: string };

/** Milliseconds that one frame spent in each step of the worker. */
export interface WorkerTiming {
  readonly preprocessMs: number;
  readonly inferenceMs: number;
  readonly postprocessMs: number;
}

/** What must be in a transfer list. All else is copied: the page keeps the model, and bitmaps. */
export function transferables(message: Request | Answer): Transferable[] {
  if (message.kind === "detect" && isVideoFrame(message.frame)) return [message.frame];
  if (message.kind === "detected" && message.found !== null) {
    const { boxesXyxy, scores, labelIds } = message.found;
    return [boxesXyxy.buffer, scores.buffer, labelIds.buffer];
  }
  return [];
}

export function isVideoFrame(frame: Frame): frame is VideoFrame {
  return typeof VideoFrame !== "undefined" && frame instanceof VideoFrame;
}

/** Also of another window's, as an <iframe>'s. */
export function isFrame(given: unknown): given is Frame {
  return ["ImageBitmap", "VideoFrame"].includes(kindOf(given));
}

/** The name of its class, as "HTMLCanvasElement" or "Null". */
export function kindOf(given: unknown): string {
  return Object.prototype.toString.call(given).slice("[object ".length, -1);
}
