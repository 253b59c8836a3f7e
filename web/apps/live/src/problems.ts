/**
 * What can go wrong on the page beyond the runtime's own errors, one class per cause, and the words
 * the page shows for any of them.
 *
 *   PageError
 *   ├── ServerUnreachable    /v1/models cannot be had
 *   ├── NoModels             the server offers none
 *   ├── CameraInsecure       cameras need HTTPS or localhost
 *   ├── CameraDenied         permission refused
 *   ├── CameraMissing        no camera, or not the chosen one
 *   ├── CameraUnavailable           it is in use, or failed to start
 *   ├── CameraUnplugged      it ended while running
 *   ├── VideoUnplayable      the browser cannot play the file or clip
 *   └── PhotoUnusable        the browser cannot decode the photo, or it is too large
 */
import {
  FrameUnusable,
  ManifestTooNew,
  MediaBlocked,
  ModelError,
  ModelHashMismatch,
  ModelNotFound,
  ModelTruncated,
  ModelUnreachable,
  RemoteBusy,
  RemoteError,
  RemoteRefused,
  RemoteUnreachable,
  SightlineError,
  StreamUnsendable,
  TokenRefused,
  WebAssemblyUnsupported,
  WorkerFailed,
} from "@sightline/web";

export class PageError extends SightlineError {
  override readonly code: string = "page";
}
export class ServerUnreachable extends PageError {
  override readonly code = "server-unreachable";
}
export class NoModels extends PageError {
  override readonly code = "no-models";
}
export class CameraInsecure extends PageError {
  override readonly code = "camera-insecure";
}
export class CameraDenied extends PageError {
  override readonly code = "camera-denied";
}
export class CameraMissing extends PageError {
  override readonly code = "camera-missing";
}
export class CameraUnavailable extends PageError {
  override readonly code = "camera-unavailable";
}
export class CameraUnplugged extends PageError {
  override readonly code = "camera-unplugged";
}
export class VideoUnplayable extends PageError {
  override readonly code = "video-unplayable";
}
export class PhotoUnusable extends PageError {
  override readonly code = "photo-unusable";
}

/** A problem in words: what happened, and what to do or what exactly was wrong. */
export interface Problem {
  readonly title: string;
  readonly advice: string;
}

type Cause = new (message: string) => SightlineError;

// Looked up in order: causes before their parents.
const TITLES: readonly (readonly [Cause, string])[] = [
  [ServerUnreachable, "The server does not answer"],
  [NoModels, "The server offers no model"],
  [CameraInsecure, "The camera needs a secure page"],
  [CameraDenied, "The camera was not allowed"],
  [CameraMissing, "No camera was found"],
  [CameraUnavailable, "The camera cannot be started"],
  [CameraUnplugged, "The camera went away"],
  [VideoUnplayable, "This video cannot be played"],
  [PhotoUnusable, "This photo cannot be used"],
  [FrameUnusable, "The picture cannot be read"],
  [ModelNotFound, "The model is not there"],
  [ModelTruncated, "The model did not arrive whole"],
  [ModelHashMismatch, "The model is not the one it should be"],
  [ModelUnreachable, "The model cannot be loaded"],
  [ManifestTooNew, "The model is newer than this page"],
  [ModelError, "The model cannot be used"],
  [WebAssemblyUnsupported, "This browser is too old"],
  [WorkerFailed, "The detector stopped"],
  [RemoteUnreachable, "The server does not answer"],
  [RemoteBusy, "The server is busy"],
  [TokenRefused, "The server asks for its token"],
  [RemoteRefused, "The server does not take this"],
  [MediaBlocked, "The video cannot reach the server"],
  [StreamUnsendable, "This video cannot be sent"],
  [RemoteError, "The server could not look at this"],
];

export function describeProblem(error: unknown): Problem {
  const text = error instanceof Error ? error.message : String(error);
  // A sentence begins with a capital, the name of a file as it is written.
  const sentence = text.replace(/^[a-z]+(?=\s)/, (word) => word.replace(/^./, toUpperCase));
  const title = TITLES.find(([Cause]) => error instanceof Cause)?.[1] ?? "Something went wrong";
  return { title, advice: /[.!?]$/.test(sentence) ? sentence : `${sentence}.` };
}

function toUpperCase(letter: string): string {
  return letter.toUpperCase();
}
