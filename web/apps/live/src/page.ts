/** The live page: joins the source, what finds the objects, the picture and the panel. */
import {
  type Backend,
  type Engine,
  type LoopFigures,
  Overlay,
  VideoWatch,
  type WatchResult,
} from "@sightline/web";
import { ClassChoice } from "./classes";
import { button, element } from "./elements";
import { Finder } from "./finder";
import { Panel } from "./panel";
import type { Place } from "./place";
import { Recording } from "./recording";
import { type Settings, SettingsStore, withEntry } from "./settings";
import { Shortcuts } from "./shortcuts";
import { Snapshot } from "./snapshot";
import type { Source, SourceKind } from "./source";
import { Sources } from "./sources";
import { type Remedy, Stage } from "./stage";
import { flipSwitch, initSwitches } from "./switches";
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
  readonly connection: string | null;
  readonly model: string | null;
  readonly backend: Backend["name"] | null;
  readonly threads: number | null;
  readonly isMirrored: boolean;
  readonly isRecording: boolean;
}

export class LivePage {
  readonly #settings = new SettingsStore();
  readonly #stage = new Stage();
  readonly #panel = new Panel();
  readonly #watch = new VideoWatch(
    this.#stage.video,
    new Overlay(this.#stage.video, { mirror: false }),
    {
      onResult: () => this.#takeResult(),
      onPicture: (picture, result) => this.#keep(picture, result),
      onClear: () => this.#forget(),
      onError: (error) => this.#fail(error, this.#finder.remedyFor(error)),
    },
  );
  readonly #finder = new Finder(this.#stage, () => this.#watch.settings, {
    onCatalogue: ({ sampleClipUrl }) => this.#offerSample(sampleClipUrl),
    onModel: () => this.#takeModel(),
    onEngine: (engine) => this.#takeEngine(engine),
    onState: () => this.#showStatus(),
    onProblem: (error, remedy, note) => this.#fail(error, remedy, note),
    onMended: () => this.#watch.refresh(),
  });
  readonly #sources = new Sources(this.#stage, {
    onSource: (source) => this.#takeSource(source),
    onPlaying: () => this.#followPlaying(),
    onProblem: (error, remedy) => this.#fail(error, remedy),
    onCameraChosen: (camera) => this.#settings.change({ camera }),
    lastCamera: () => this.#settings.current.camera,
  });
  readonly #snapshot: Snapshot;
  readonly #recording: Recording;
  readonly #threshold = new ThresholdSlider((isChosen) => this.#applyThreshold(isChosen));
  readonly #classes = new ClassChoice((chosen) => this.#applyClasses(chosen));
  #tellServer: ReturnType<typeof setTimeout> | undefined;
  /** Whether this connection has told of a frame. */
  #isAnswered = false;

  constructor() {
    const [stage, watch] = [this.#stage, this.#watch];
    const view = {
      video: stage.video,
      get shown() {
        return stage.shown;
      },
      get result() {
        return watch.result;
      },
      get hasPictures() {
        return watch.settings.sync === "frame" && typeof VideoFrame !== "undefined";
      },
    };
    const listener = {
      onProblem: (error: unknown, remedy: Remedy) => stage.showProblem(error, remedy),
      onNote: (text: string) => stage.showNote(text),
    };
    this.#snapshot = new Snapshot(view, listener);
    this.#recording = new Recording(view, listener);
  }

  /** The last detections on display: those that reach the slider's threshold. */
  get lastResult(): WatchResult | null {
    return this.#watch.result;
  }

  get stats(): LiveStats {
    const backend = this.#finder.engine?.detector?.backend ?? null;
    return {
      ...this.#watch.figures(),
      state: this.#finder.state,
      source: this.#sources.kind ?? "none",
      model: this.#finder.model?.name ?? null,
      place: this.#finder.place,
      connection: this.#finder.connection?.kind ?? null,
      backend: backend?.name ?? null,
      threads: backend?.threads ?? null,
      isMirrored: this.#watch.settings.mirror,
      isRecording: this.#recording.isOn,
    };
  }

  /** Milliseconds of bare runs of the graph in the page's own worker. */
  async measure(runs: number): Promise<readonly number[]> {
    const detector = this.#finder.engine?.detector ?? null;
    if (detector === null) throw new Error("no model is ready on this device");
    return await detector.measure(runs);
  }

  async start(): Promise<void> {
    const { track, motion, sync } = this.#settings.current;
    this.#watch.configure({ track, motion, sync });
    this.#listen();
    this.#followPlaying();
    setInterval(() => this.#refreshPanel(), PANEL_EVERY_MS);
    await this.#finder.start(this.#settings.current.model);
  }

  #listen(): void {
    const { track, motion, sync, shortcuts } = this.#settings.current;
    initSwitches([
      { id: "track", isOn: track, onChange: (isOn) => this.#change({ track: isOn }) },
      { id: "motion", isOn: motion, onChange: (isOn) => this.#change({ motion: isOn }) },
      {
        id: "sync",
        isOn: sync === "frame",
        onChange: (isOn) => this.#change({ sync: isOn ? "frame" : "live" }),
      },
      { id: "mirror", isOn: false, onChange: (isOn) => this.#mirror(isOn) },
    ]);
    const keys = [
      { key: " ", shown: "Space", does: "Pause, go on", act: () => this.#sources.togglePause() },
      { key: "c", shown: "C", does: "Camera", act: () => this.#sources.useCamera() },
      { key: "o", shown: "O", does: "Open a file", act: () => button("use-file").click() },
      { key: "s", shown: "S", does: "Save the picture", act: () => button("snapshot").click() },
      { key: "r", shown: "R", does: "Record, stop", act: () => this.#recording.toggle() },
      { key: "f", shown: "F", does: "Full screen", act: () => button("full-screen").click() },
      { key: "t", shown: "T", does: "Number the objects", act: () => flipSwitch("track") },
      { key: "m", shown: "M", does: "Mirror the camera", act: () => flipSwitch("mirror") },
    ];
    new Shortcuts(keys, shortcuts, (isOn) => this.#settings.change({ shortcuts: isOn }));
    window.addEventListener("pagehide", () => this.#sources.stop());
    // A hidden page gets no frames: what it showed is old when it is seen again.
    document.addEventListener("visibilitychange", () => {
      if (this.#sources.isPlaying) this.#watch.clear();
    });
  }

  #offerSample(url: string | null): void {
    this.#sources.offerSample(url);
    const isAskedFor = new URLSearchParams(location.search).get("source") === "sample";
    if (isAskedFor && this.#sources.kind === null) this.#sources.useSample();
  }

  #takeModel(): void {
    const { model } = this.#finder;
    if (model === null) return;
    const { classes, thresholds } = this.#settings.current;
    this.#settings.change({ model: model.name });
    const chosen = classes[model.name]?.filter((label) => model.labels.includes(label)) ?? null;
    this.#classes.show(model.labels, chosen);
    this.#watch.configure({ labels: chosen });
    this.#threshold.show(model.scoreThreshold, thresholds[model.name] ?? model.scoreThreshold);
  }

  #takeEngine(engine: Engine | null): void {
    this.#isAnswered = false;
    this.#panel.showEngine(engine, this.#finder.model);
    this.#watch.setEngine(engine);
    this.#refreshPanel();
  }

  #takeSource(source: Source | null): void {
    this.#isAnswered = false;
    this.#finder.rest();
    this.#recording.enable(source !== null && source.takePhoto === null);
    if (source === null) {
      this.#watch.setSource(null);
      return;
    }
    this.#watch.setSource(source, this.#stage.shown);
    const { mirrorFront, mirrorOther } = this.#settings.current;
    const isFront = this.#sources.facing === "user";
    this.#showMirrored(source.camera !== null && (isFront ? mirrorFront : mirrorOther));
  }

  #takeResult(): void {
    this.#snapshot.enable(true);
    if (this.#isAnswered) return;
    this.#isAnswered = true;
    this.#showStatus();
  }

  #followPlaying(): void {
    this.#showStatus();
    this.#refreshPanel();
  }

  #showStatus(): void {
    const { state, connection, isConnected } = this.#finder;
    const { kind } = this.#sources;
    if (!isConnected) this.#isAnswered = false;
    const isLive = state === "ready" && kind !== null;
    if (state === "failed" || connection?.kind === "failed") this.#stage.showStatus("problem");
    else if (state === "loading") this.#stage.showStatus("loading");
    else if (isLive && !isConnected) this.#stage.showStatus("connecting");
    else if (isLive && connection !== null && !this.#isAnswered) this.#stage.showStatus("waiting");
    else if (!isLive || kind === "photo") this.#stage.showStatus("ready");
    else this.#stage.showStatus(this.#stage.video.paused ? "paused" : "live");
  }

  #change(changes: Partial<Pick<Settings, "track" | "motion" | "sync">>): void {
    this.#settings.change(changes);
    this.#watch.configure(changes);
    // In a stream that is sent as such only the server sees what moves: it is asked anew.
    if (changes.motion !== undefined && this.#finder.place === "webrtc") this.#finder.load();
  }

  /** The user's choice for cameras that look as this one does. */
  #mirror(isOn: boolean): void {
    if (this.#sources.kind !== "camera") return;
    const isFront = this.#sources.facing === "user";
    this.#settings.change(isFront ? { mirrorFront: isOn } : { mirrorOther: isOn });
    this.#showMirrored(isOn);
  }

  #showMirrored(isOn: boolean): void {
    element("mirror", HTMLInputElement).checked = isOn;
    this.#stage.mirror(isOn);
    this.#watch.configure({ mirror: isOn });
  }

  #applyClasses(chosen: readonly string[] | null): void {
    const name = this.#finder.model?.name ?? "";
    const classes = withEntry(this.#settings.current.classes, name, chosen);
    this.#settings.change({ classes });
    this.#watch.configure({ labels: chosen });
  }

  #applyThreshold(isChosen: boolean): void {
    const threshold = this.#threshold.value;
    if (isChosen) {
      const name = this.#finder.model?.name ?? "";
      const kept = this.#threshold.isOwn ? null : threshold;
      this.#settings.change({
        thresholds: withEntry(this.#settings.current.thresholds, name, kept),
      });
    }
    const known = this.#watch.threshold ?? 1;
    clearTimeout(this.#tellServer);
    const apply = () => this.#watch.configure({ threshold });
    if (!isChosen || this.#finder.place === "device" || threshold >= known) {
      apply();
      return;
    }
    this.#tellServer = setTimeout(() => {
      apply();
      this.#watch.refresh();
    }, TELL_SERVER_MS);
  }

  #keep(picture: VideoFrame, result: WatchResult): void {
    this.#snapshot.keep(picture, result);
    this.#recording.addPicture(picture, result);
  }

  #forget(): void {
    this.#snapshot.enable(false);
    this.#refreshPanel();
  }

  #refreshPanel(): void {
    const { kind, isPlaying } = this.#sources;
    const detections = this.#watch.result?.detections ?? null;
    const figures = this.#watch.figures();
    this.#panel.showFigures({
      ...figures,
      framesPerSecond: kind === "photo" ? null : figures.framesPerSecond,
      pictureSize: this.#stage.pictureSize,
    });
    const chosen = this.#settings.current.classes[this.#finder.model?.name ?? ""];
    this.#panel.showDetections(detections, chosen?.length === 0);
    const isLooking = isPlaying || kind === "photo";
    this.#panel.announce(isLooking ? detections : null, performance.now());
  }

  #fail(error: unknown, remedy: Remedy, note = ""): void {
    this.#watch.clear(); // boxes that stay behind would be of something else
    this.#stage.showProblem(error, remedy, note);
  }
}
