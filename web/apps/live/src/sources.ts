/** The source in use: begun, exchanged, paused, ended, and come back when its camera does. */
import { listCameras } from "@sightline/web";
import { button, element, setIcon } from "./elements";
import { type Facing, facingOfTrack, hasBothFacings } from "./facing";
import { type Source, type SourceKind, showPhoto, startCamera, startVideo } from "./source";
import { again, type Remedy, type Stage } from "./stage";

export interface SourcesListener {
  /** Another source is on display, or none (null), or it pauses or goes on. */
  onSource(source: Source | null): void;
  onPlaying(): void;
  onProblem(error: unknown, remedy: Remedy): void;
  /** The user has chosen a camera, by its deviceId. */
  onCameraChosen(deviceId: string): void;
  /** The one chosen in this visit or another. */
  lastCamera(): string | null;
}

export class Sources {
  readonly #stage: Stage;
  readonly #listener: SourcesListener;
  readonly #cameras = element("cameras", HTMLSelectElement);
  #current: Source | null = null;
  /** Counts the sources asked for: only the last one asked for may start. */
  #asked = 0;
  #sampleUrl: string | null = null;
  /** The deviceId of a camera that went away, until something else is chosen. */
  #lost: string | null = null;

  constructor(stage: Stage, listener: SourcesListener) {
    this.#stage = stage;
    this.#listener = listener;
    const file = element("file", HTMLInputElement);
    button("use-camera").addEventListener("click", () => this.useCamera());
    this.#cameras.addEventListener("change", () => {
      listener.onCameraChosen(this.#cameras.value);
      this.#openCamera(this.#cameras.value);
    });
    button("flip").addEventListener("click", () => this.flip());
    button("use-sample").addEventListener("click", () => this.useSample());
    button("use-file").addEventListener("click", () => file.click());
    file.addEventListener("change", () => {
      const chosen = file.files?.[0];
      file.value = ""; // so that choosing the same file again is a change
      if (chosen !== undefined) this.useFile(chosen);
    });
    stage.onDrop((dropped) => this.useFile(dropped));
    button("pause").addEventListener("click", () => this.togglePause());
    button("stop").addEventListener("click", () => this.stop());
    for (const kind of ["play", "pause", "ended"]) {
      stage.video.addEventListener(kind, () => this.#show());
    }
    navigator.mediaDevices?.addEventListener("devicechange", () => this.#followDevices());
  }

  get kind(): SourceKind | null {
    return this.#current?.kind ?? null;
  }

  /** Which way the camera in use looks; null where that is not known, or there is none. */
  get facing(): Facing | null {
    const camera = this.#current?.camera ?? null;
    return camera === null ? null : facingOfTrack(camera);
  }

  /** Whether there are new frames: a video that plays. */
  get isPlaying(): boolean {
    return this.#current !== null && this.#current.takePhoto === null && !this.#stage.video.paused;
  }

  /** The address of the sample clip, if there is one. */
  offerSample(url: string | null): void {
    this.#sampleUrl = url;
    button("use-sample").hidden = url === null;
  }

  /** The camera chosen last, if it is there; else the browser's choice. */
  async useCamera(): Promise<void> {
    const wanted = this.#cameras.value || this.#listener.lastCamera();
    const isThere = wanted !== null && (await hasCamera(wanted));
    await this.#openCamera(isThere ? wanted : null);
  }

  /** The camera that looks the other way. */
  flip(): void {
    this.#openCamera(this.facing === "user" ? "environment" : "user");
  }

  useSample(): void {
    const url = this.#sampleUrl;
    if (url === null) return;
    this.#use(() => startVideo(this.#stage.video, url, "sample", "the sample clip"));
  }

  useFile(file: File): void {
    const isPhoto = file.type.startsWith("image/");
    this.#use(
      () =>
        isPhoto
          ? showPhoto(this.#stage.photo, file)
          : startVideo(this.#stage.video, URL.createObjectURL(file), "file", file.name),
      // The same file would fail again.
      { label: "Choose another", act: () => button("use-file").click() },
    );
  }

  stop(): void {
    this.#asked++;
    this.#lost = null;
    const former = this.#current;
    this.#current = null;
    this.#stage.show("empty");
    this.#listener.onSource(null);
    former?.close();
    this.#show();
  }

  togglePause(): void {
    const { video } = this.#stage;
    if (this.#current === null || this.#current.takePhoto !== null) return;
    if (!video.paused) {
      video.pause();
      return;
    }
    video.play().catch((error: unknown) => {
      this.#listener.onProblem(
        error,
        again(() => this.togglePause()),
      );
    });
  }

  #openCamera(wanted: string | null): Promise<void> {
    return this.#use(async () => {
      const source = await startCamera(this.#stage.video, wanted, (error) => {
        const lost = this.#current?.camera?.getSettings().deviceId ?? null;
        this.stop();
        this.#lost = lost;
        this.#listener.onProblem(
          error,
          again(() => this.#openCamera(wanted)),
        );
      });
      await this.#showCameras(source.camera);
      return source;
    });
  }

  /** Stop what is shown and start another source. */
  async #use(open: () => Promise<Source>, remedy?: Remedy): Promise<void> {
    this.stop();
    this.#stage.hideProblem();
    const asked = ++this.#asked;
    try {
      const source = await open();
      if (asked !== this.#asked) {
        source.close();
        return;
      }
      this.#current = source;
      this.#stage.show(source.takePhoto === null ? "video" : "photo");
      this.#listener.onSource(source);
      this.#show();
    } catch (error) {
      if (asked !== this.#asked) return;
      this.#listener.onProblem(error, remedy ?? again(() => this.#use(open)));
    }
  }

  /** A camera was connected or taken away: one that went away while in use is used again. */
  async #followDevices(): Promise<void> {
    const lost = this.#lost;
    if (lost !== null && (await hasCamera(lost))) await this.#openCamera(lost);
    else if (this.#current?.camera) await this.#showCameras(this.#current.camera);
  }

  async #showCameras(used: MediaStreamTrack | null): Promise<void> {
    const cameras = await listCameras();
    this.#cameras.replaceChildren(
      ...cameras.map(({ deviceId, label }) => new Option(label, deviceId)),
    );
    this.#cameras.value = used?.getSettings().deviceId ?? "";
    element("camera-choice", HTMLLabelElement).hidden = cameras.length < 2;
    button("flip").hidden = !(await hasBothFacings());
  }

  /** The buttons as they are to be for what is on display. */
  #show(): void {
    const kind = this.kind;
    const isVideo = kind !== null && kind !== "photo";
    const isPaused = isVideo && this.#stage.video.paused;
    button("pause").disabled = !isVideo;
    button("stop").disabled = kind === null;
    button("pause").ariaLabel = isPaused ? "Continue" : "Pause";
    setIcon(button("pause"), isPaused ? "play" : "pause");
    this.#stage.showsCamera(kind === "camera");
    const pressed = { "use-camera": "camera", "use-sample": "sample" };
    for (const [id, own] of Object.entries(pressed)) button(id).ariaPressed = String(kind === own);
    button("use-file").ariaPressed = String(kind === "file" || kind === "photo");
    this.#listener.onPlaying();
  }
}

async function hasCamera(wanted: string): Promise<boolean> {
  if (navigator.mediaDevices === undefined) return false; // not a secure page
  const cameras = await listCameras();
  return cameras.some(({ deviceId }) => deviceId === wanted);
}
