/**
 * Object detection for web pages: `watchVideo(video, {model})` finds the objects of a <video> while
 * it plays, on this device or on a server; `createDetector({model})` looks at single frames.
 */
export { classColor, type Rgb, textColor } from "./colors";
export { createDetector } from "./device/create";
export type {
  Detection,
  DetectionResult,
  DetectOptions,
  Detector,
  DetectorOptions,
} from "./device/detector";
export type { Backend } from "./device/graph";
export type { Frame, WorkerTiming } from "./device/protocol";
export type { Attempt } from "./device/upgrade";
export * from "./errors";
export { locateModel, type ModelLocation, type ProgressListener } from "./model/fetch";
export type { Manifest, Runtime } from "./model/manifest";
export { describeProblem, type Problem, type Titles } from "./problems";
export { connectHttp, type HttpDetector, type HttpOptions } from "./remote/http";
export type { RemoteDetectOptions } from "./remote/newest";
export type { RemoteState } from "./remote/reconnect";
export { connectWebRtc, type RemoteStream, type WebRtcOptions } from "./remote/webrtc";
export {
  connectWebSocket,
  type RemoteDetector,
  type WebSocketOptions,
} from "./remote/websocket";
export type { Ready, RemoteOptions, RemoteResult } from "./remote/wire";
export { runScriptTag } from "./scripttag/tag";
export {
  type Counted,
  Counter,
  type CounterOptions,
  type CountingEvent,
  type Counts,
  type Direction,
  type LineCount,
  type ZoneCount,
} from "./tracking/counting";
export { MotionGate } from "./tracking/motion";
export type { CountingLine, CountingZone, Point } from "./tracking/regions";
export { BoxSmoother } from "./tracking/smoothing";
export { LEAST_SCORE, Tracker } from "./tracking/tracker";
export { openEngine, type WatchOptions, type WatchPlace, watchVideo } from "./video/attach";
export { type Camera, listCameras, openCamera } from "./video/camera";
export {
  DeviceEngine,
  type Engine,
  HttpEngine,
  type LookOptions,
  PeerEngine,
  type ServerListener,
  type ServerOptions,
  SocketEngine,
  type Transport,
} from "./video/engine";
export type { Rect } from "./video/fit";
export { type FrameWatcher, grabFrame, streamOf, watchFrames } from "./video/frames";
export type { LoopFigures, Source } from "./video/loop";
export { Overlay, type OverlaySettings } from "./video/overlay";
export {
  type Drawing,
  drawDetections,
  type LineMark,
  type PlainLook,
  type ZoneMark,
} from "./video/paint";
export type { Shown } from "./video/placement";
export {
  VideoWatch,
  type WatchListener,
  type WatchResult,
  type WatchSettings,
} from "./video/watch";
