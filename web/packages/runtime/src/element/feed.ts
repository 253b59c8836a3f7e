/** What a <video> plays: a file, or a camera that is taken up again when it comes back. */
import {
  CameraError,
  CameraUnplugged,
  firstLine,
  type SightlineError,
  VideoForbidden,
  VideoUnplayable,
} from "../errors";
import { openCamera } from "../video/camera";

export interface FeedListener {
  /** Nothing plays until `open` is called again, or a missing camera is connected. */
  onError(error: SightlineError): void;
  /** It plays, perhaps again. */
  onOpen(): void;
}

export interface FeedSource {
  readonly src: string | null;
  /** As `openCamera` takes it; null: no camera. */
  readonly camera: string | null;
}

export class Feed {
  readonly #video: HTMLVideoElement;
  readonly #listener: FeedListener;
  readonly #ending = new AbortController();
  #source: FeedSource = { src: null, camera: null };
  #stream: MediaStream | null = null;
  #isMissing = false;
  /** Counts the openings: only the last one may go on. */
  #openings = 0;

  constructor(video: HTMLVideoElement, listener: FeedListener) {
    this.#video = video;
    this.#listener = listener;
    const { signal } = this.#ending;
    video.addEventListener("error", () => this.#explain(), { signal });
    navigator.mediaDevices?.addEventListener(
      "devicechange",
      () => {
        if (this.#isMissing) this.open(this.#source);
      },
      { signal },
    );
  }

  /** Neither a file nor a camera: the video plays what the page gives it. */
  async open(source: FeedSource): Promise<void> {
    const opening = ++this.#openings;
    this.#release();
    this.#source = source;
    this.#isMissing = false;
    const { src, camera } = source;
    if (camera === null) {
      if (src !== null) this.#load(src);
      return;
    }
    try {
      const stream = await openCamera(camera);
      if (opening !== this.#openings) {
        for (const track of stream.getTracks()) track.stop();
        return;
      }
      this.#play(stream);
    } catch (error) {
      if (opening === this.#openings) this.#lose(asCameraError(error));
    }
  }

  /** Give the camera back and end what the element itself had begun. */
  close(): void {
    this.#openings++;
    this.#ending.abort();
    this.#release();
  }

  #load(src: string): void {
    const video = this.#video;
    const isForeign = new URL(src, document.baseURI).origin !== location.origin;
    // Without CORS a video can be shown, but its frames cannot be read.
    if (isForeign && video.crossOrigin === null) video.crossOrigin = "anonymous";
    video.src = src;
    this.#listener.onOpen();
  }

  #play(stream: MediaStream): void {
    const video = this.#video;
    this.#stream = stream;
    for (const track of stream.getVideoTracks()) {
      track.addEventListener("ended", () => {
        if (this.#stream === stream) this.#lose(new CameraUnplugged("connect it again"));
      });
    }
    video.muted = true;
    video.playsInline = true;
    video.srcObject = stream;
    // Browsers let videos without sound begin by themselves; where not, the user begins it.
    video.play().catch(() => undefined);
    this.#listener.onOpen();
  }

  #lose(error: CameraError): void {
    const source = this.#source;
    this.#release();
    this.#source = source;
    this.#isMissing = true;
    this.#listener.onError(error);
  }

  #release(): void {
    const video = this.#video;
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    if (this.#stream !== null && video.srcObject === this.#stream) video.srcObject = null;
    this.#stream = null;
    if (this.#source.camera === null && this.#source.src !== null) {
      video.removeAttribute("src");
      video.load();
    }
    this.#source = { src: null, camera: null };
  }

  #explain(): void {
    const video = this.#video;
    const address = video.currentSrc || video.src;
    if (video.error === null || address === "") return;
    const isForeign = new URL(address, document.baseURI).origin !== location.origin;
    this.#listener.onError(
      isForeign && video.crossOrigin !== null && !address.startsWith("blob:")
        ? new VideoForbidden(
            `the video cannot be loaded from another site: ${address}; it is not there, or its ` +
              "server does not send Access-Control-Allow-Origin",
          )
        : new VideoUnplayable(
            `${address} is not there, damaged, or of a kind that this browser cannot play`,
          ),
    );
  }
}

function asCameraError(error: unknown): CameraError {
  return error instanceof CameraError ? error : new CameraError(firstLine(error));
}
