/** Any error in words for people: what happened, and what to do or what exactly was wrong. */
import {
  BackendUnsupported,
  CameraDenied,
  CameraInsecure,
  CameraMissing,
  CameraUnavailable,
  CameraUnplugged,
  ConfigInvalid,
  FrameUnusable,
  ManifestTooNew,
  MediaBlocked,
  ModelBlocked,
  ModelError,
  ModelHashMismatch,
  ModelNotFound,
  ModelTruncated,
  ModelUnreachable,
  OutOfMemory,
  RemoteBusy,
  RemoteError,
  RemoteRefused,
  RemoteUnreachable,
  type SightlineError,
  StreamUnsendable,
  TokenRefused,
  VideoUnplayable,
  WebAssemblyUnsupported,
  WorkerFailed,
} from "./errors";

export interface Problem {
  readonly title: string;
  readonly advice: string;
}

export type Cause = new (message: string) => SightlineError;

/** Looked up in order: causes before their parents. */
export type Titles = readonly (readonly [Cause, string])[];

const TITLES: Titles = [
  [CameraInsecure, "The camera needs a secure page"],
  [CameraDenied, "The camera was not allowed"],
  [CameraMissing, "No camera was found"],
  [CameraUnavailable, "The camera cannot be started"],
  [CameraUnplugged, "The camera went away"],
  [VideoUnplayable, "This video cannot be played"],
  [FrameUnusable, "The picture cannot be read"],
  [ModelNotFound, "The model is not there"],
  [ModelBlocked, "The model's server does not let this page read it"],
  [ModelTruncated, "The model did not arrive whole"],
  [ModelHashMismatch, "The model is not the one it should be"],
  [ModelUnreachable, "The model cannot be loaded"],
  [ManifestTooNew, "The model is newer than this page"],
  [ModelError, "The model cannot be used"],
  [ConfigInvalid, "The page asks for what does not exist"],
  [WebAssemblyUnsupported, "This browser is too old"],
  [BackendUnsupported, "The model does not run this way here"],
  [OutOfMemory, "There is too little memory"],
  [WorkerFailed, "The detector stopped"],
  [RemoteUnreachable, "The server does not answer"],
  [RemoteBusy, "The server is busy"],
  [TokenRefused, "The server asks for its token"],
  [RemoteRefused, "The server does not take this"],
  [MediaBlocked, "The video cannot reach the server"],
  [StreamUnsendable, "This video cannot be sent"],
  [RemoteError, "The server could not look at this"],
];

/** `further`: titles of causes that the runtime does not know. */
export function describeProblem(error: unknown, further: Titles = []): Problem {
  const text = error instanceof Error ? error.message : String(error);
  // A sentence begins with a capital, the name of a file as it is written.
  const sentence = text.replace(/^[a-z]+(?=\s)/, (word) => word.replace(/^./, toUpperCase));
  const known = [...further, ...TITLES].find(([Cause]) => error instanceof Cause);
  const title = known?.[1] ?? "Something went wrong";
  return { title, advice: /[.!?]$/.test(sentence) ? sentence : `${sentence}.` };
}

function toUpperCase(letter: string): string {
  return letter.toUpperCase();
}
