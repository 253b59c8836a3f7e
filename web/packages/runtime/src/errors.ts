/**
 * Every error the runtime raises on purpose, one class per cause that a caller can act on.
 *
 *   SightlineError
 *   ├── ModelError
 *   │   ├── ModelNotFound        the server has no such file
 *   │   ├── ModelUnreachable     no answer, or an answer other than the file
 *   │   ├── ModelBlocked         another server has it and does not let this page read it (CORS)
 *   │   ├── ModelTruncated       fewer or more bytes than the manifest says
 *   │   ├── ModelHashMismatch    right size, wrong sha256
 *   │   ├── ManifestInvalid      a field is missing or wrong
 *   │   ├── ManifestTooNew       a later format version
 *   │   └── GraphUnusable        the runtime cannot load it, or it is not what the manifest says
 *   ├── ConfigInvalid            an option or attribute that means nothing
 *   ├── FrameUnusable            the pixels of a frame cannot be read
 *   │   └── VideoForbidden       the video is from another site, without CORS
 *   ├── VideoUnplayable          the browser cannot play the file, or it is not there
 *   ├── CameraError
 *   │   ├── CameraInsecure       cameras need HTTPS or localhost
 *   │   ├── CameraDenied         permission refused
 *   │   ├── CameraMissing        no camera, or not the chosen one
 *   │   ├── CameraUnavailable    it is in use, or failed to start
 *   │   └── CameraUnplugged      it ended while running
 *   ├── InferenceFailed          a run of the graph threw
 *   ├── WebAssemblyUnsupported   no WebAssembly SIMD here
 *   ├── BackendUnsupported       what was asked for does not run here, or finds something else
 *   ├── OutOfMemory              a fresh worker had too little memory too
 *   ├── WorkerFailed             the worker died or could not start, again and again
 *   ├── DetectorDisposed         used after dispose()
 *   └── RemoteError              detection on a server
 *       ├── RemoteUnreachable    no answer, or the connection broke
 *       ├── RemoteBusy           the server is full or stopping; later it may not be
 *       ├── TokenRefused         the server wants a token, or another one
 *       ├── RemoteRefused        the server does not take what was asked for
 *       ├── MediaBlocked         WebRTC finds no path for the pictures
 *       └── StreamUnsendable     nothing to send: the stream ended, or this browser cannot send it
 *
 * `code` is stable; a message says what was wrong, where, and what to do.
 */

export class SightlineError extends Error {
  readonly code: string = "error";

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

export class ModelError extends SightlineError {
  override readonly code: string = "model";
}

export class ModelNotFound extends ModelError {
  override readonly code = "model-not-found";
}

export class ModelUnreachable extends ModelError {
  override readonly code = "model-unreachable";
}

export class ModelBlocked extends ModelError {
  override readonly code = "model-blocked";
}

export class ModelTruncated extends ModelError {
  override readonly code = "model-truncated";
}

export class ModelHashMismatch extends ModelError {
  override readonly code = "model-hash-mismatch";
}

export class ManifestInvalid extends ModelError {
  override readonly code = "manifest-invalid";
}

export class ManifestTooNew extends ModelError {
  override readonly code = "manifest-too-new";
}

export class GraphUnusable extends ModelError {
  override readonly code = "graph-unusable";
}

export class ConfigInvalid extends SightlineError {
  override readonly code = "config-invalid";
}

export class FrameUnusable extends SightlineError {
  override readonly code: string = "frame-unusable";
}

export class VideoForbidden extends FrameUnusable {
  override readonly code = "video-forbidden";
}

export class VideoUnplayable extends SightlineError {
  override readonly code = "video-unplayable";
}

export class CameraError extends SightlineError {
  override readonly code: string = "camera";
}

export class CameraInsecure extends CameraError {
  override readonly code = "camera-insecure";
}

export class CameraDenied extends CameraError {
  override readonly code = "camera-denied";
}

export class CameraMissing extends CameraError {
  override readonly code = "camera-missing";
}

export class CameraUnavailable extends CameraError {
  override readonly code = "camera-unavailable";
}

export class CameraUnplugged extends CameraError {
  override readonly code = "camera-unplugged";
}

export class InferenceFailed extends SightlineError {
  override readonly code = "inference-failed";
}

export class WebAssemblyUnsupported extends SightlineError {
  override readonly code = "webassembly-unsupported";
}

export class BackendUnsupported extends SightlineError {
  override readonly code = "backend-unsupported";
}

export class OutOfMemory extends SightlineError {
  override readonly code = "out-of-memory";
}

export class WorkerFailed extends SightlineError {
  override readonly code = "worker-failed";
}

export class DetectorDisposed extends SightlineError {
  override readonly code = "detector-disposed";
}

export class RemoteError extends SightlineError {
  override readonly code: string = "remote";
}

export class RemoteUnreachable extends RemoteError {
  override readonly code = "remote-unreachable";
}

export class RemoteBusy extends RemoteError {
  override readonly code = "remote-busy";
  /** When the server says to ask again; 0 where it does not say. */
  retryAfterMs = 0;
}

export class TokenRefused extends RemoteError {
  override readonly code = "token-refused";
}

export class RemoteRefused extends RemoteError {
  override readonly code = "remote-refused";
}

export class MediaBlocked extends RemoteError {
  override readonly code = "media-blocked";
}

export class StreamUnsendable extends RemoteError {
  override readonly code = "stream-unsendable";
}

/** An error as it crosses from the worker: classes do not survive structured cloning. */
export interface WireError {
  readonly code: string;
  readonly message: string;
}

const CROSSING = [
  GraphUnusable,
  FrameUnusable,
  InferenceFailed,
  WebAssemblyUnsupported,
  BackendUnsupported,
  OutOfMemory,
];

/** What the worker sends for anything it caught. */
export function toWire(error: unknown): WireError {
  if (error instanceof SightlineError) return { code: error.code, message: error.message };
  return { code: "worker-failed", message: firstLine(error) };
}

/** The error that the worker meant. */
export function fromWire(wire: WireError): SightlineError {
  for (const Cause of CROSSING) {
    const error = new Cause(wire.message);
    if (error.code === wire.code) return error;
  }
  return new WorkerFailed(wire.message);
}

/** The first line of whatever was thrown: engines append stacks and paths below it. */
export function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split("\n", 1)[0] || "unknown error";
}
