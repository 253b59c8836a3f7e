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
} from "./detector";
export * from "./errors";
export { type FrameListener, grabFrame, watchFrames } from "./frames";
export type { Manifest } from "./manifest";
export type { ModelLocation, ProgressListener } from "./model";
export type { Frame, WorkerTiming } from "./protocol";
export type { RemoteState } from "./remote/reconnect";
export { connectWebRtc, type RemoteStream, type WebRtcOptions } from "./remote/webrtc";
export {
  connectWebSocket,
  type RemoteDetectOptions,
  type RemoteDetector,
  type WebSocketOptions,
} from "./remote/websocket";
export type { Ready, RemoteDetection, RemoteOptions, RemoteResult } from "./remote/wire";
