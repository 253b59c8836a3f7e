/**
 * Every message between the page and its worker. Frames and result buffers are transferred, so each
 * has one owner at a time; whoever holds a frame closes it.
 */
import type { WireError } from "../errors";
import type { Manifest } from "../model/manifest";
import type { RawDetections } from "./postprocess";

/** What can be detected on: both are transferable and hold pixels outside the JavaScript heap. */
export type Frame = VideoFrame | ImageBitmap;

/** To the worker. It answers each message once, in order, by an answer of the same `id`. */
export type Request =
  | {
      readonly kind: "open";
      readonly id: number;
      readonly manifest: Manifest;
      readonly graph: ArrayBuffer;
      readonly threads: number;
    }
  | {
      readonly kind: "detect";
      readonly id: number;
      readonly frame: Frame;
      readonly threshold: number;
    }
  | { readonly kind: "measure"; readonly id: number; readonly runs: number };

/** From the worker. */
export type Answer =
  | { readonly kind: "opened"; readonly id: number }
  | {
      readonly kind: "detected";
      readonly id: number;
      readonly found: RawDetections;
      readonly width: number;
      readonly height: number;
      readonly timing: WorkerTiming;
    }
  | { readonly kind: "measured"; readonly id: number; readonly runsMs: readonly number[] }
  | { readonly kind: "failed"; readonly id: number; readonly error: WireError };

/** Milliseconds that one frame spent in each step of the worker. */
export interface WorkerTiming {
  readonly preprocessMs: number;
  readonly inferenceMs: number;
  readonly postprocessMs: number;
}

/** What must be in a transfer list, not copied. */
export function transferables(message: Request | Answer): Transferable[] {
  if (message.kind === "open") return [message.graph];
  if (message.kind === "detect") return [message.frame];
  if (message.kind === "detected") {
    const { boxesXyxy, scores, labelIds } = message.found;
    return [boxesXyxy.buffer, scores.buffer, labelIds.buffer];
  }
  return [];
}
