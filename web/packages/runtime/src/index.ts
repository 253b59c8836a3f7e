/**
 * Object detection on the device: `createDetector({manifestUrl, graphUrl})`, then `detect`. On a
 * server: `connectWebSocket(options)`, then `detect`; or `connectWebRtc({stream, onResult})`.
 */
export { classColor, type Rgb, textColor } from "./colors";
export {
  type Backend,
  createDetector,
  type Detection,
  type DetectionResult,
  type DetectOptions,
  type Detector,
  type DetectorOptions,
} from "./device/detector";
export type { Frame, WorkerTiming } from "./device/protocol";
export * from "./errors";
export type { ModelLocation, ProgressListener } from "./model/fetch";
export type { Manifest } from "./model/manifest";
export type { RemoteState } from "./remote/reconnect";
export { connectWebRtc, type RemoteStream, type WebRtcOptions } from "./remote/webrtc";
export {
  connectWebSocket,
  type RemoteDetectOptions,
  type RemoteDetector,
  type WebSocketOptions,
} from "./remote/websocket";
export type { Ready, RemoteOptions, RemoteResult } from "./remote/wire";
export { MotionGate } from "./tracking/motion";
export { LEAST_SCORE, Tracker } from "./tracking/tracker";
export { type FrameListener, grabFrame, watchFrames } from "./video/frames";
