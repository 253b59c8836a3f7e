/** Object detection on the device: `createDetector({manifestUrl, graphUrl})`, then `detect`. */
export { classColor, type Rgb, textColor } from "./colors";
export {
  type Backend,
  createDetector,
  type Detection,
  type DetectionResult,
  type DetectOptions,
  type Detector,
  type DetectorOptions,
} from "./detector";
export * from "./errors";
export { type FrameListener, grabFrame, watchFrames } from "./frames";
export type { Manifest } from "./manifest";
export type { ModelLocation, ProgressListener } from "./model";
export type { Frame, WorkerTiming } from "./protocol";
