/**
 * Detection on a server over HTTP, in the 2017 wire format: each frame is posted as a JPEG file to
 * /image, of this server or of the original service. At most one request is on its way, and the
 * newest frame is next; after a failure a growing pause is made.
 */
import type { Detection, DetectionResult } from "../device/detector";
import type { Frame } from "../device/protocol";
import {
  DetectorDisposed,
  RemoteBusy,
  RemoteError,
  RemoteUnreachable,
  TokenRefused,
} from "../errors";
import { JpegEncoder } from "./jpeg";
import { NewestFirst, type RemoteDetectOptions, type Sending } from "./newest";
import { type Connect, keepConnected, type RemoteState } from "./reconnect";
import { credentials, errorOf, isPassing, type RemoteOptions } from "./wire";
import { type ParsedAnswer, parseAnswer2017 } from "./wire2017";

export interface HttpOptions extends Pick<RemoteOptions, "token" | "threshold"> {
  /** Address of the server or of its /image; by default the page's own server. */
  readonly url?: string;
  /** Wider frames are made so wide before they are sent. */
  readonly maxWidth?: number;
  /** Of the JPEG files, 0..1. */
  readonly quality?: number;
  readonly onState?: (state: RemoteState) => void;
}

export interface HttpDetector {
  /**
   * What is in the frame, which is taken over and closed; null when a newer frame took its place
   * or the server could not be asked. Waits while the server is given a pause. Rejects with a
   * SightlineError.
   */
  detect(frame: Frame, options?: RemoteDetectOptions): Promise<DetectionResult | null>;
  /** Go on with another least score. */
  setThreshold(threshold: number): void;
  close(): void;
}

/** The service of 2017 took seconds on slow machines. */
const ANSWER_MS = 30_000;

/** A detector that asks with every frame. */
export function connectHttp(options: HttpOptions = {}): HttpDetector {
  return new PostingDetector(options);
}

/** Where pictures are posted: a folder's address is a server's, any other one is taken as it is. */
export function imageAddress(url: string | undefined, base: string): URL {
  const address = new URL(url ?? "./", base);
  if (address.pathname.endsWith("/")) address.pathname += "image";
  return address;
}

class PostingDetector implements HttpDetector {
  readonly #encoder = new JpegEncoder();
  readonly #ending = new AbortController();
  readonly #frames = new NewestFirst((sending) => this.#ask(sending));
  readonly #address: URL;
  /** In the order in which they were first seen: the wire has names alone. */
  readonly #labels: string[] = [];
  #options: HttpOptions;
  #last: readonly Detection[] | null = null;
  /** Of the connection, which here is what lies between two failures. */
  #link: { readonly ready: Parameters<Connect>[0]; readonly fail: (error: Error) => void } | null =
    null;
  #isReady = false;

  constructor(options: HttpOptions) {
    this.#options = options;
    this.#address = imageAddress(options.url, document.baseURI);
    keepConnected(
      (ready, signal) => this.#connect(ready, signal),
      (state) => this.#follow(state),
      this.#ending.signal,
    );
  }

  detect(frame: Frame, options: RemoteDetectOptions = {}): Promise<DetectionResult | null> {
    return this.#frames.add(frame, options);
  }

  setThreshold(threshold: number): void {
    this.#options = { ...this.#options, threshold };
    this.#last = null; // what is known now was found by the former one
  }

  close(): void {
    const reason = new DetectorDisposed("the connection was closed");
    this.#frames.end(reason, { isTold: false });
    this.#ending.abort(reason);
    this.#encoder.end();
  }

  async #connect(ready: Parameters<Connect>[0], signal: AbortSignal): Promise<never> {
    this.#isReady = false;
    try {
      return await new Promise<never>((_, fail) => {
        signal.addEventListener("abort", () => fail(signal.reason), { once: true });
        this.#link = { ready, fail };
        this.#frames.open();
      });
    } finally {
      this.#link = null;
      this.#frames.pause();
    }
  }

  #follow(state: RemoteState): void {
    if (state.kind === "failed") this.#frames.end(state.error, { isTold: true });
    this.#options.onState?.(state);
  }

  async #ask({ frame, capturedAt, motion }: Sending): Promise<DetectionResult | null> {
    const { maxWidth, quality } = this.#options;
    const startedAt = performance.now();
    const encoded = await this.#encoder.encode({
      frame,
      maxWidth,
      quality,
      motion: motion && { ...motion, timeS: capturedAt / 1000, isAnew: this.#last === null },
    });
    const sentAt = performance.now();
    const { width, height } = encoded;
    const preprocessMs = sentAt - startedAt;
    if (encoded.jpeg === null) {
      const timing = { preprocessMs, inferenceMs: 0, postprocessMs: 0 };
      return { detections: this.#last ?? [], width, height, timing, isStill: true };
    }
    const answer = await this.#post(encoded.jpeg);
    if (answer === null) return null;
    this.#last = answer.objects.map((found) => this.#toDetection(found, width, height));
    // What the server did in it is not told: all of the request counts as inference.
    const timing = { preprocessMs, inferenceMs: performance.now() - sentAt, postprocessMs: 0 };
    return { detections: this.#last, width, height, timing, isStill: false };
  }

  /** Null where there was none and asking again may help. Rejects with the frame's error. */
  async #post(jpeg: ArrayBuffer): Promise<ParsedAnswer | null> {
    const { threshold } = this.#options;
    const form = new FormData();
    form.append("image", new Blob([jpeg], { type: "image/jpeg" }), "blob");
    if (threshold !== undefined) form.append("threshold", String(threshold));
    try {
      const answer = await exchange(this.#address, form, this.#options, this.#ending.signal);
      this.#tellReady(answer);
      return answer;
    } catch (error) {
      this.#last = null;
      // Of the frame alone is what is neither passing nor a refusal of all that may follow.
      if (this.#link === null || isOfFrame(error)) throw error;
      this.#link.fail(error as Error);
      this.#frames.pause();
      return null;
    }
  }

  #tellReady({ model, threshold }: ParsedAnswer): void {
    if (this.#isReady || this.#link === null) return;
    this.#isReady = true;
    const least = threshold ?? this.#options.threshold ?? 0.5;
    this.#link.ready({ kind: "ready", model, labels: this.#labels, threshold: least });
  }

  #toDetection(found: ParsedAnswer["objects"][number], width: number, height: number): Detection {
    const label = found.class_name;
    if (!this.#labels.includes(label)) this.#labels.push(label);
    return {
      label,
      labelId: this.#labels.indexOf(label),
      score: found.score,
      boxXyxy: [found.x * width, found.y * height, found.width * width, found.height * height],
    };
  }
}

/** One request. Rejects with a RemoteError. */
async function exchange(
  address: URL,
  body: FormData,
  options: HttpOptions,
  ending: AbortSignal,
): Promise<ParsedAnswer> {
  const signal = AbortSignal.any([ending, AbortSignal.timeout(ANSWER_MS)]);
  const headers = credentials(options);
  let response: Response;
  let text: string;
  try {
    response = await fetch(address, { method: "POST", body, headers, signal });
    text = await response.text();
  } catch (reason) {
    ending.throwIfAborted();
    throw unreachable(address, reason);
  }
  if (!response.ok) throw refusalOf(response, text, address);
  return parseAnswer2017(text, address.href);
}

function unreachable(address: URL, reason: unknown): RemoteUnreachable {
  if (reason instanceof DOMException && reason.name === "TimeoutError") {
    return new RemoteUnreachable(`${address} did not answer in ${ANSWER_MS / 1000} seconds`);
  }
  const isForeign = address.origin !== location.origin;
  return new RemoteUnreachable(
    `${address} cannot be reached${isForeign ? ", or does not allow this page's origin (CORS)" : ""}`,
  );
}

/** The error of an answer that is not 200: from our error shape, if it has it, else by status. */
export function refusalOf(
  response: Pick<Response, "status" | "headers">,
  text: string,
  address: URL,
): RemoteError {
  const { status, headers } = response;
  const retryAfterMs = readRetryAfter(headers.get("Retry-After"), Date.now());
  const error = ownError(text) ?? foreignError(status, address);
  if (error instanceof RemoteBusy) error.retryAfterMs = retryAfterMs;
  // A fault of the server may be over with the next frame, but frame after frame helps nobody.
  const isFault = status >= 500 && status !== NOT_IMPLEMENTED;
  return isFault && !isPassing(error) ? new RemoteUnreachable(error.message) : error;
}

const NOT_IMPLEMENTED = 501;

function ownError(text: string): RemoteError | null {
  try {
    const problem: unknown = JSON.parse(text);
    const isOurs = typeof problem === "object" && problem !== null && "code" in problem;
    return isOurs ? errorOf(problem) : null;
  } catch {
    return null;
  }
}

/** Of a service that gives no reason, as the one of 2017 or a proxy: it may be another next time. */
function foreignError(status: number, address: URL): RemoteError {
  const message = `${address} answered with status ${status}`;
  if (status === 401) return new TokenRefused(message);
  return status === 429 || status === 503
    ? new RemoteBusy(message)
    : new RemoteUnreachable(message);
}

/** Milliseconds from `now` (as of Date.now()) on; 0 where there is no such time (RFC 9110, 10.2.3). */
export function readRetryAfter(value: string | null, now: number): number {
  if (value === null) return 0;
  const ms = /^\s*\d+\s*$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now;
  return Number.isFinite(ms) ? Math.max(0, ms) : 0;
}

/** Whether the error is one frame's: another one may be looked at. */
function isOfFrame(error: unknown): boolean {
  return error instanceof Error && error.constructor === RemoteError;
}
