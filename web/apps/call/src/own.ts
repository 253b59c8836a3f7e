/** What this page shows the others: the camera, a video file or the sample clip. */
import { StreamUnsendable, streamOf } from "@sightline/web";
import { button, element } from "../../live/src/elements";
import { type Source, startCamera, startVideo } from "../../live/src/source";

export interface OwnListener {
  /** To be sent to the others; null: nothing. */
  onTrack(track: MediaStreamTrack | null): void;
  /** `retry` tries the same again. */
  onError(error: unknown, retry: () => void): void;
}

type Start = (video: HTMLVideoElement) => Promise<Source>;

export class OwnVideo {
  readonly #video = element("own-video", HTMLVideoElement);
  readonly #file = element("file", HTMLInputElement);
  readonly #listener: OwnListener;
  #source: Source | null = null;
  #isBusy = false;

  constructor(listener: OwnListener) {
    this.#listener = listener;
    button("use-camera").addEventListener("click", () => this.#useCamera());
    button("use-file").addEventListener("click", () => this.#file.click());
    button("stop").addEventListener("click", () => this.#stop());
    this.#file.addEventListener("change", () => {
      const [file] = this.#file.files ?? [];
      this.#file.value = "";
      if (file !== undefined) {
        this.#use((video) => startVideo(video, URL.createObjectURL(file), "file", file.name));
      }
    });
  }

  /** Offer the server's clip. */
  offerSample(url: string | null): void {
    button("use-sample").hidden = url === null;
    if (url === null) return;
    button("use-sample").onclick = () =>
      this.#use((video) => startVideo(video, url, "sample", "the sample clip"));
  }

  #useCamera(): void {
    const onEnded = (error: unknown) => {
      this.#stop();
      this.#listener.onError(error, () => this.#useCamera());
    };
    this.#use((video) => startCamera(video, null, onEnded));
  }

  async #use(start: Start): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    this.#stop();
    try {
      const source = await start(this.#video);
      const track = streamOf(this.#video)?.getVideoTracks()[0];
      if (track === undefined) {
        source.close();
        throw new StreamUnsendable("this browser can send the camera, but not a video file");
      }
      this.#show(source, track);
    } catch (error) {
      this.#listener.onError(error, () => this.#use(start));
    } finally {
      this.#isBusy = false;
    }
  }

  #stop(): void {
    if (this.#source === null) return;
    this.#source.close();
    this.#show(null, null);
  }

  #show(source: Source | null, track: MediaStreamTrack | null): void {
    this.#source = source;
    element("own", HTMLElement).hidden = source === null;
    button("stop").disabled = source === null;
    for (const kind of ["camera", "file", "sample"]) {
      button(`use-${kind}`).ariaPressed = String(source?.kind === kind);
    }
    this.#listener.onTrack(track);
  }
}
