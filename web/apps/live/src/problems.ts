/**
 * What can go wrong on the page beyond the runtime's own errors, one class per cause, and the words
 * the page shows for any of them.
 *
 *   PageError
 *   ├── ServerUnreachable    /v1/models cannot be had
 *   ├── NoModels             the server offers none
 *   ├── PhotoUnusable        the browser cannot decode the photo, or it is too large
 *   ├── SavingFailed         a picture could not be made to be saved
 *   ├── RecordingUnsupported this browser records nothing
 *   └── RecordingFailed      a clip could not be begun, or broke off
 */
import {
  type Problem,
  SightlineError,
  type Titles,
  describeProblem as words,
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
export class PhotoUnusable extends PageError {
  override readonly code = "photo-unusable";
}
export class SavingFailed extends PageError {
  override readonly code = "saving-failed";
}
export class RecordingUnsupported extends PageError {
  override readonly code = "recording-unsupported";
}
export class RecordingFailed extends PageError {
  override readonly code = "recording-failed";
}

const TITLES: Titles = [
  [ServerUnreachable, "The server does not answer"],
  [NoModels, "The server offers no model"],
  [PhotoUnusable, "This photo cannot be used"],
  [SavingFailed, "The picture cannot be saved"],
  [RecordingUnsupported, "This browser cannot record"],
  [RecordingFailed, "The recording broke off"],
];

export function describeProblem(error: unknown): Problem {
  return words(error, TITLES);
}
