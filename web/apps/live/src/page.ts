/** The live page: joins the source, the detector, the picture and the panel. */
import {
  type Backend,
  createDetector,
  type Detection,
  DeviceEngine,
  type Engine,
  type LoopFigures,
  listCameras,
  MediaBlocked,
  Overlay,
  PeerEngine,
  type RemoteState,
  SocketEngine,
  StreamUnsendable,
  VideoWatch,
  type WatchResult,
} from "@sightline/web";
import { type Catalogue, type CatalogueModel, fetchCatalogue } from "./catalogue";
import { button, element, setIcon } from "./elements";
import { Panel } from "./panel";
import { type Place, PlaceChoice, placeFor, placesOf, readPlace } from "./place";
import { saveSnapshot } from "./snapshot";
import { type Source, type SourceKind, showPhoto, startCamera, startVideo } from "./source";
import { again, type Remedy, Stage } from "./stage";
import { ThresholdSlider } from "./threshold";

/** How often figures and lists beside the picture change; boxes change with every result. */
const PANEL_EVERY_MS = 250;
/** The slider is moved in many small steps: the server is told when it rests. */
const TELL_SERVER_MS = 200;

/** What the page is doing, in numbers: `window.sightline.stats`. Times in milliseconds. */
export interface LiveStats extends LoopFigures {
  readonly state: "loading" | "ready" | "failed";
  readonly source: SourceKind | "none";
  readonly place: Place;
  /** To the server; null while nothing is sent there. */
  readonly connection: RemoteState["kind"] | null;
  readonly model: string | null;
  readonly backend: Backend["name"] | null;
  readonly threads: number | null;
}

export class LivePage {
  readonly #stage = new Stage();
  readonly #panel = new Panel();
  readonly #watch = new VideoWatch(
    this.#stage.video,
    new Overlay(this.#stage.video, { mirror: false }),
    {
      onResult: (result) => this.#showResult(result),
      onError: (error) => this.#fail(error, this.#remedyFor(error)),
    },
  );
  readonly #placeChoice = new PlaceChoice((place) => this.#choosePlace(place));
  readonly #threshold = new ThresholdSlider(() => this.#applyThreshold());
  readonly #parameters = new URLSearchParams(location.search);
  #catalogue: Catalogue | null = null;
  #model: CatalogueModel | null = null;
  #wanted: Place = readPlace(this.#parameters.get("run"));
  /** The wanted place, or another where the model does not run there. */
  #place: Place = this.#wanted;
  #engine: Engine | null = null;
  #connection: RemoteState | null = null;
  #isProblemOfConnection = false;
  #tellServer: ReturnType<typeof setTimeout> | undefined;
  #loading: AbortController | null = null;
  #source: Source | null = null;
  /** Counts the sources asked for: only the last one asked for may start. */
  #sourcesAsked = 0;
  #state: LiveStats["state"] = "loading";
  #listed: readonly Detection[] | null = null;

  /** The last detections on display: those that reach the slider's threshold. */
  get lastResult(): WatchResult | null {
    return this.#watch.result;
  }

  get stats(): LiveStats {
    return {
      ...this.#watch.figures(),
      state: this.#state,
      source: this.#source?.kind ?? "none",
      model: this.#model?.name ?? null,
      place: this.#place,
      connection: this.#connection?.kind ?? null,
      backend: this.#engine?.detector?.backend.name ?? null,
      threads: this.#engine?.detector?.backend.threads ?? null,
    };
  }

  /** Milliseconds of bare runs of the graph in the page's own worker. */
  async measure(runs: number): Promise<readonly number[]> {
    const detector = this.#engine?.detector ?? null;
    if (detector === null) throw new Error("no model is ready on this device");
    return await detector.measure(runs);
  }

  async start(): Promise<void> {
    this.#listen();
    setInterval(() => this.#refreshPanel(), PANEL_EVERY_MS);
    await this.#loadCatalogue();
  }

  async #loadCatalogue(): Promise<void> {
    try {
      this.#catalogue = await fetchCatalogue();
    } catch (error) {
      this.#fail(
        error,
        again(() => this.#loadCatalogue()),
      );
      return;
    }
    const { models, sampleClipUrl } = this.#catalogue;
    const wanted = this.#parameters.get("model");
    this.#model = models.find((model) => model.name === wanted) ?? models[0];
    const select = element("models", HTMLSelectElement);
    select.replaceChildren(...models.map(({ name }) => new Option(name, name)));
    select.value = this.#model.name;
    element("model-choice", HTMLLabelElement).hidden = models.length === 1;
    element("model-name", HTMLParagraphElement).hidden = models.length > 1;
    button("use-sample").hidden = sampleClipUrl === null;
    const isLoading = this.#loadModel();
    if (this.#parameters.get("source") === "sample") this.#useSample();
    await isLoading;
  }

  /** Have the chosen model found in the chosen place. */
  async #loadModel(): Promise<void> {
    const model = this.#model;
    if (model === null) return;
    this.#loading?.abort();
    this.#setEngine(null);
    const loading = new AbortController();
    this.#loading = loading;
    this.#setState("loading");
    this.#stage.hideProblem();
    this.#place = placeFor(model, this.#wanted);
    this.#placeChoice.show(this.#place, placesOf(model));
    if (this.#place !== "device") {
      this.#stage.hideLoading();
      const Remote = this.#place === "webrtc" ? PeerEngine : SocketEngine;
      this.#setEngine(
        new Remote(
          { model: model.name, threshold: model.scoreThreshold },
          {
            onState: (state) => this.#follow(state),
            onFrameError: (error) => this.#fail(error, this.#remedyFor(error)),
          },
        ),
      );
      return;
    }
    if (model.location === null) return;
    this.#stage.showLoading(model.name, 0, 1);
    try {
      const threads = Number(this.#parameters.get("threads"));
      const detector = await createDetector({
        model: model.location,
        ...(threads >= 1 ? { threads } : {}),
        signal: loading.signal,
        onProgress: (loaded, total) => this.#stage.showLoading(model.name, loaded, total),
      });
      if (loading.signal.aborted) detector.dispose();
      else this.#setEngine(new DeviceEngine(detector));
    } catch (error) {
      if (!loading.signal.aborted) this.#fail(error, this.#remedyFor(error));
    } finally {
      if (!loading.signal.aborted) this.#stage.hideLoading();
    }
  }

  #choosePlace(place: Place): void {
    this.#wanted = place;
    const address = new URL(location.href); // so that reloading the page keeps the choice
    if (place === "device") address.searchParams.delete("run");
    else address.searchParams.set("run", place);
    history.replaceState(null, "", address);
    this.#loadModel();
  }

  #setEngine(engine: Engine | null): void {
    const former = this.#engine;
    this.#engine = engine;
    this.#connection = null;
    this.#panel.showEngine(engine, this.#model);
    this.#clearResult();
    if (engine !== null) {
      this.#threshold.reset(this.#model?.scoreThreshold ?? null);
      this.#setState("ready");
    }
    this.#watch.setEngine(engine);
    former?.close();
  }

  /** What the connection to the server does. */
  #follow(state: RemoteState): void {
    this.#connection = state;
    if (state.kind === "waiting" || state.kind === "failed") {
      const isTriedAgain = state.kind === "waiting";
      const remedy = this.#remedyFor(state.error, isTriedAgain);
      const note = isTriedAgain ? "It is tried again by itself." : "";
      this.#isProblemOfConnection = true;
      this.#stage.showProblem(state.error, remedy, note);
      this.#clearResult(); // boxes that stay behind would be of something else
    }
    if (state.kind === "ready" && this.#isProblemOfConnection) {
      this.#isProblemOfConnection = false;
      this.#stage.hideProblem();
      this.#watch.refresh();
    }
    this.#showStatus();
  }

  #remedyFor(error: unknown, isTriedAgain = false): Remedy {
    if (error instanceof MediaBlocked || error instanceof StreamUnsendable) {
      return { label: "Use WebSocket", act: () => this.#choosePlace("websocket") };
    }
    if (isTriedAgain && this.#model?.location) {
      return { label: "Use this device", act: () => this.#choosePlace("device") };
    }
    return again(() => this.#loadModel());
  }

  #listen(): void {
    const file = element("file", HTMLInputElement);
    const cameras = element("cameras", HTMLSelectElement);
    button("use-camera").addEventListener("click", () => this.#useCamera(cameras.value || null));
    cameras.addEventListener("change", () => this.#useCamera(cameras.value));
    button("use-sample").addEventListener("click", () => this.#useSample());
    button("use-file").addEventListener("click", () => file.click());
    file.addEventListener("change", () => {
      const chosen = file.files?.[0];
      file.value = ""; // so that choosing the same file again is a change
      if (chosen !== undefined) this.#useFile(chosen);
    });
    this.#stage.onDrop((dropped) => this.#useFile(dropped));
    button("pause").addEventListener("click", () => this.#togglePause());
    button("stop").addEventListener("click", () => this.#stop());
    button("snapshot").addEventListener("click", () => this.#saveSnapshot());
    window.addEventListener("keydown", (event) => {
      if (event.code !== "Space" || event.target !== document.body) return;
      event.preventDefault();
      this.#togglePause();
    });
    for (const kind of ["play", "pause", "ended"]) {
      this.#stage.video.addEventListener(kind, () => this.#showControls());
    }
    element("models", HTMLSelectElement).addEventListener("change", (event) => {
      const name = (event.target as HTMLSelectElement).value;
      this.#model = this.#catalogue?.models.find((model) => model.name === name) ?? this.#model;
      this.#loadModel();
    });
    window.addEventListener("pagehide", () => this.#stop());
  }

  #useCamera(deviceId: string | null): void {
    this.#use(async () => {
      const source = await startCamera(this.#stage.video, deviceId, (error) => {
        this.#stop();
        this.#fail(
          error,
          again(() => this.#useCamera(deviceId)),
        );
      });
      await this.#showCameras();
      return source;
    });
  }

  #useSample(): void {
    const url = this.#catalogue?.sampleClipUrl;
    if (typeof url !== "string") return;
    this.#use(() => startVideo(this.#stage.video, url, "sample", "the sample clip"));
  }

  #useFile(file: File): void {
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

  /** Stop what is shown and start another source. */
  async #use(open: () => Promise<Source>, remedy?: Remedy): Promise<void> {
    this.#stop();
    this.#stage.hideProblem();
    const asked = ++this.#sourcesAsked;
    try {
      const source = await open();
      if (asked !== this.#sourcesAsked) {
        source.close();
        return;
      }
      this.#source = source;
      const isPhoto = source.takePhoto !== null;
      this.#stage.show(isPhoto ? "photo" : "video");
      this.#watch.setSource(source, isPhoto ? this.#stage.photo : this.#stage.video);
      this.#showControls();
    } catch (error) {
      if (asked === this.#sourcesAsked) this.#fail(error, remedy ?? again(() => this.#use(open)));
    }
  }

  #stop(): void {
    this.#sourcesAsked++;
    this.#watch.setSource(null);
    this.#connection = null;
    if (this.#isProblemOfConnection) this.#stage.hideProblem();
    this.#isProblemOfConnection = false;
    this.#source?.close();
    this.#source = null;
    this.#stage.show("empty");
    this.#clearResult();
    this.#showControls();
  }

  #togglePause(): void {
    const { video } = this.#stage;
    if (this.#source === null || this.#source.takePhoto !== null) return;
    if (video.paused)
      video.play().catch((error: unknown) =>
        this.#fail(
          error,
          again(() => this.#togglePause()),
        ),
      );
    else video.pause();
  }

  async #showCameras(): Promise<void> {
    const cameras = await listCameras();
    const select = element("cameras", HTMLSelectElement);
    const track = (this.#stage.video.srcObject as MediaStream | null)?.getVideoTracks()[0];
    select.replaceChildren(...cameras.map(({ deviceId, label }) => new Option(label, deviceId)));
    select.value = track?.getSettings().deviceId ?? "";
    element("camera-choice", HTMLLabelElement).hidden = cameras.length < 2;
  }

  #showControls(): void {
    const kind = this.#source?.kind ?? null;
    const isPlaying = kind !== null && kind !== "photo";
    const isPaused = isPlaying && this.#stage.video.paused;
    button("pause").disabled = !isPlaying;
    button("stop").disabled = kind === null;
    button("pause").ariaLabel = isPaused ? "Continue" : "Pause";
    setIcon(button("pause"), isPaused ? "play" : "pause");
    const pressed = { "use-camera": "camera", "use-sample": "sample" };
    for (const [id, own] of Object.entries(pressed)) button(id).ariaPressed = String(kind === own);
    button("use-file").ariaPressed = String(kind === "file" || kind === "photo");
    this.#showStatus();
    this.#refreshPanel();
  }

  #showStatus(): void {
    const isLive = this.#state === "ready" && this.#source !== null;
    const isStill = this.#source?.kind === "photo";
    const hasFailed = this.#state === "failed" || this.#connection?.kind === "failed";
    if (hasFailed) this.#stage.showStatus("problem");
    else if (this.#state === "loading") this.#stage.showStatus("loading");
    else if (isLive && !this.#isConnected()) this.#stage.showStatus("connecting");
    else if (!isLive || isStill) this.#stage.showStatus("ready");
    else this.#stage.showStatus(this.#stage.video.paused ? "paused" : "live");
  }

  /** Whether frames get to the engine: to one in this page always. */
  #isConnected(): boolean {
    return this.#connection === null || this.#connection.kind === "ready";
  }

  #setState(state: LiveStats["state"]): void {
    this.#state = state;
    this.#showStatus();
  }

  #applyThreshold(): void {
    const threshold = this.#threshold.value;
    const known = this.#watch.threshold ?? 1;
    clearTimeout(this.#tellServer);
    const apply = () => this.#watch.configure({ threshold });
    if (this.#place === "device" || threshold >= known) {
      apply();
      return;
    }
    this.#tellServer = setTimeout(() => {
      apply();
      this.#watch.refresh();
    }, TELL_SERVER_MS);
  }

  #showResult(result: WatchResult): void {
    this.#listed = result.detections;
    button("snapshot").disabled = false;
  }

  #clearResult(): void {
    this.#watch.clear();
    this.#listed = null;
    button("snapshot").disabled = true;
    this.#refreshPanel();
  }

  #refreshPanel(): void {
    const isPhoto = this.#source?.kind === "photo";
    const figures = this.#watch.figures();
    this.#panel.showFigures(isPhoto ? { ...figures, framesPerSecond: null } : figures);
    this.#panel.showDetections(this.#listed);
    const isMoving = this.#source !== null && (isPhoto || !this.#stage.video.paused);
    this.#panel.announce(isMoving ? this.#listed : null, performance.now());
  }

  #saveSnapshot(): void {
    const { result } = this.#watch;
    if (result === null) return;
    const isPhoto = this.#source?.kind === "photo";
    saveSnapshot(isPhoto ? this.#stage.photo : this.#stage.video, result);
  }

  #fail(error: unknown, remedy: Remedy): void {
    if (this.#engine === null) this.#setState("failed");
    this.#clearResult(); // boxes that stay behind would be of something else
    this.#stage.showProblem(error, remedy);
  }
}
