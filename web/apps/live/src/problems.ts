/**
 * What can go wrong on the page beyond the runtime's own errors, one class per cause, and the words
 * the page shows for any of them.
 *
 *   PageError
 *   ├── ServerUnreachable    /v1/models cannot be had
 *   ├── NoModels             the server offers none
 *   └── PhotoUnusable        the browser cannot decode the photo, or it is too large
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

const TITLES: Titles = [
  [ServerUnreachable, "The server does not answer"],
  [NoModels, "The server offers no model"],
  [PhotoUnusable, "This photo cannot be used"],
];

export function describeProblem(error: unknown): Problem {
  return words(error, TITLES);
}
