/** <sightline-video>: a video, camera or file with its objects, by one element. */
import { ConfigInvalid, firstLine, SightlineError, VideoForbidden } from "../errors";
import { describeProblem } from "../problems";
import type { RemoteState } from "../remote/reconnect";
import type { CountingEvent, Counts } from "../tracking/counting";
import type { CountingLine, CountingZone } from "../tracking/regions";
import { type WatchOptions, watchVideo } from "../video/attach";
import type { VideoWatch, WatchResult, WatchSettings } from "../video/watch";
import { isOn, PASSED, PLACE, readSettings, readTransport, SETTINGS, SOURCE } from "./attributes";
import { Feed } from "./feed";
import { VideoFrameParts } from "./frame";
import { summarize } from "./summary";

/** What the element is doing: `detail.state` of sightline-state. */
export type ElementState = "loading" | "connecting" | "ready" | "failed";

/** By the events' names what their `detail` is. */
export interface SightlineVideoEvents {
  readonly "sightline-ready": { readonly labels: readonly string[] };
  readonly "sightline-progress": { readonly loadedBytes: number; readonly totalBytes: number };
  readonly "sightline-detections": WatchResult;
  readonly "sightline-count": CountingEvent;
  /** `isOver`: nothing more is found until it is tried again. */
  readonly "sightline-error": { readonly error: SightlineError; readonly isOver: boolean };
  readonly "sightline-state": { readonly state: ElementState };
}

/** Screen readers are told what is seen no more often. */
const SAY_EVERY_MS = 4000;

type Group = "settings" | "place" | "source";

/** What can fail by itself: what is shown, what finds the objects, and how. */
type Part = "source" | "watch" | "settings";

/** Attributes and what follows from a change of theirs. */
const GROUPS = new Map<string, Group>([
  ...SETTINGS.map((name) => [name, "settings"] as const),
  ...PLACE.map((name) => [name, "place"] as const),
  ...SOURCE.map((name) => [name, "source"] as const),
]);

/** The element; this folder's index registers it. */
export class SightlineVideo extends HTMLElement {
  static readonly observedAttributes = [...GROUPS.keys(), ...PASSED, "controls"];

  readonly #parts: VideoFrameParts;
  #own: HTMLVideoElement | null = null;
  #video: HTMLVideoElement | null = null;
  #watch: VideoWatch | null = null;
  #feed: Feed | null = null;
  #listening = new AbortController();
  #lines: readonly CountingLine[] | null = null;
  #zones: readonly CountingZone[] | null = null;
  #changed = new Set<Group>();
  #state: ElementState = "loading";
  /** What the watch does, whether or not there is something to see. */
  #doing: ElementState = "loading";
  #saidAt = Number.NEGATIVE_INFINITY;
  /** What does not work now. */
  readonly #problems = new Map<Part, SightlineVideoEvents["sightline-error"]>();
  /** What ended the connection to the server. */
  #lost: SightlineError | null = null;

  constructor() {
    super();
    this.#parts = new VideoFrameParts(this.attachShadow({ mode: "open" }), {
      onRetry: () => this.retry(),
      onTogglePlay: () => this.#togglePlay(),
      onToggleFullscreen: () => this.#toggleFullscreen(),
      onContent: () => this.#checkVideo(),
    });
  }

  /** The <video> inside: the page's own where one is put into the element. */
  get video(): HTMLVideoElement | null {
    return this.#video;
  }

  /** What is on display; null before the first frame. */
  get result(): WatchResult | null {
    return this.#watch?.result ?? null;
  }

  get counts(): Counts | null {
    return this.#watch?.counts ?? null;
  }

  get settings(): WatchSettings | null {
    return this.#watch?.settings ?? null;
  }

  get state(): ElementState {
    return this.#state;
  }

  /** Where objects are counted, in place of the attribute. */
  get lines(): readonly CountingLine[] {
    return this.settings?.lines ?? this.#lines ?? [];
  }

  set lines(lines: readonly CountingLine[]) {
    this.#lines = lines;
    this.#change("settings");
  }

  get zones(): readonly CountingZone[] {
    return this.settings?.zones ?? this.#zones ?? [];
  }

  set zones(zones: readonly CountingZone[]) {
    this.#zones = zones;
    this.#change("settings");
  }

  connectedCallback(): void {
    if (!this.hasAttribute("role")) this.role = "group";
    const isNamed = this.hasAttribute("aria-label") || this.hasAttribute("aria-labelledby");
    if (!isNamed) this.ariaLabel = "Video with object detection";
    if (this.#video === null) this.#open();
    else this.#checkVideo();
  }

  disconnectedCallback(): void {
    // Moved to another place of the page, it goes on as it is.
    queueMicrotask(() => {
      if (!this.isConnected) this.#close();
    });
  }

  attributeChangedCallback(name: string, former: string | null, text: string | null): void {
    if (former === text || this.#video === null) return;
    const group = GROUPS.get(name);
    if (group !== undefined) this.#change(group);
    else if (name === "controls") this.#parts.showControls(isOn(text));
    else this.#pass(name);
  }

  /** Try again what has failed: the model, the server, the camera or the file. */
  retry(): void {
    if (this.#video === null) return;
    this.#openSource();
    this.#openWatch();
  }

  #open(): void {
    const given = this.#findGiven();
    const video = given ?? this.#makeVideo();
    if (given === null) this.#parts.add(video);
    this.#video = video;
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    for (const kind of ["play", "playing", "pause", "ended", "emptied"]) {
      video.addEventListener(kind, () => this.#parts.showPlaying(!video.paused), { signal });
    }
    this.#feed = new Feed(video, {
      onError: (error) => this.#fail("source", error, true),
      onOpen: () => this.#heal("source"),
    });
    for (const name of PASSED) this.#pass(name);
    this.#parts.showControls(isOn(this.getAttribute("controls")));
    this.#openSource();
    this.#openWatch();
  }

  #close(): void {
    this.#listening.abort();
    this.#watch?.close();
    this.#watch = null;
    this.#feed?.close();
    this.#feed = null;
    this.#own?.remove();
    this.#own = null;
    this.#video = null;
    this.#changed.clear();
    this.#problems.clear();
    this.#parts.hideProblem();
    this.#parts.say("");
  }

  #findGiven(): HTMLVideoElement | null {
    return this.querySelector<HTMLVideoElement>(":scope > video");
  }

  /** The page's own video may come and go: parsers and frameworks add it when they get there. */
  #checkVideo(): void {
    const given = this.#findGiven();
    if (this.#video === null || given === (this.#own === null ? this.#video : null)) return;
    this.#close();
    this.#open();
  }

  /** Several attributes set one after the other are one change. */
  #change(group: Group): void {
    if (this.#video === null) return;
    if (this.#changed.size === 0) queueMicrotask(() => this.#apply());
    this.#changed.add(group);
  }

  #apply(): void {
    const changed = this.#changed;
    this.#changed = new Set();
    if (this.#video === null) return;
    const hasFailed = this.#problems.get("watch")?.isOver === true;
    if (changed.has("source")) this.#openSource();
    if (changed.has("place") || hasFailed || this.#watch === null) this.#openWatch();
    else if (changed.has("settings")) this.#watch.configure(this.#readSettings());
  }

  #makeVideo(): HTMLVideoElement {
    const video = document.createElement("video");
    video.playsInline = true;
    video.setAttribute("part", "video");
    this.#own = video;
    return video;
  }

  /** To the element's own video; the page's has attributes of its own. */
  #pass(name: string): void {
    const text = this.getAttribute(name);
    const video = this.#video;
    if (video === null || (text === null && video !== this.#own)) return;
    if (name === "poster") video.poster = text ?? "";
    else video.toggleAttribute(name, isOn(text));
    if (name === "muted") video.muted = isOn(text); // the attribute is its default alone
  }

  #openSource(): void {
    this.#heal("source");
    const camera = this.getAttribute("camera");
    this.#feed?.open({
      src: this.getAttribute("src"),
      camera: camera === "false" ? null : camera,
    });
  }

  /** What is wrong is told, and left as it was. */
  #readSettings(): Partial<WatchSettings> {
    const { settings, problems } = readSettings((name) => this.getAttribute(name), {
      ...(this.#lines === null ? {} : { lines: this.#lines }),
      ...(this.#zones === null ? {} : { zones: this.#zones }),
    });
    this.#heal("settings");
    if (problems.length > 0) {
      const error = new ConfigInvalid(problems.map(({ message }) => message).join("; "));
      this.#fail("settings", error, false);
    }
    return settings;
  }

  #openWatch(): void {
    const video = this.#video;
    if (video === null) return;
    let options: WatchOptions;
    try {
      options = this.#readOptions();
    } catch (error) {
      const isOver = this.#watch === null; // what runs goes on
      this.#fail(isOver ? "watch" : "settings", error, isOver);
      return;
    }
    this.#watch?.close();
    this.#watch = null;
    this.#lost = null;
    this.#setState("loading");
    this.#heal("watch");
    this.#try(() => {
      this.#watch = watchVideo(video, options);
    });
  }

  #readOptions(): WatchOptions {
    const [model, server, token] = ["model", "server", "token"].map(
      (name) => this.getAttribute(name) ?? undefined,
    );
    const transport = readTransport((name) => this.getAttribute(name)) ?? undefined;
    return {
      ...this.#readSettings(),
      ...(model === undefined ? {} : { model }),
      ...(server === undefined ? {} : { server }),
      ...(token === undefined ? {} : { token }),
      ...(transport === undefined ? {} : { transport }),
      onProgress: (loadedBytes, totalBytes) => {
        this.#parts.showLoading(totalBytes > 0 ? loadedBytes / totalBytes : 0);
        this.#emit("sightline-progress", { loadedBytes, totalBytes });
      },
      onReady: ({ detector, labels }) => {
        if (detector === null) {
          this.#setState("connecting"); // a server's labels are known when it answers
          return;
        }
        this.#setState("ready");
        this.#emit("sightline-ready", { labels });
      },
      onState: (state) => this.#follow(state),
      onResult: (result) => this.#take(result),
      onCount: (event) => this.#emit("sightline-count", event),
      onError: (error) => {
        const isLost = error === this.#lost || error instanceof VideoForbidden;
        this.#fail("watch", error, isLost || !this.#watch?.engine);
      },
    };
  }

  #follow(state: RemoteState): void {
    if (state.kind === "ready") {
      this.#setState("ready");
      this.#heal("watch");
      this.#emit("sightline-ready", { labels: state.labels });
    } else if (state.kind === "failed") {
      this.#lost = state.error; // and told of as an error too
    } else {
      this.#setState("connecting");
      if (state.kind === "waiting") this.#fail("watch", state.error, false);
    }
  }

  #take(result: WatchResult): void {
    for (const [part, { isOver }] of this.#problems) {
      if (!isOver && part !== "settings") this.#heal(part);
    }
    this.#emit("sightline-detections", result);
    const now = performance.now();
    if (now - this.#saidAt < SAY_EVERY_MS) return;
    this.#saidAt = now;
    this.#parts.say(summarize(result.detections));
  }

  #try(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#fail("watch", error, true);
    }
  }

  #fail(part: Part, reason: unknown, isOver: boolean): void {
    const error = reason instanceof SightlineError ? reason : new SightlineError(firstLine(reason));
    this.#problems.set(part, { error, isOver });
    if (isOver) this.#watch?.clear();
    this.#showState();
    this.#emit("sightline-error", { error, isOver });
  }

  #heal(part: Part): void {
    if (this.#problems.delete(part)) this.#showState();
  }

  #setState(state: ElementState): void {
    this.#doing = state;
    this.#parts.showLoading(state === "loading" && this.hasAttribute("model") ? 0 : null);
    this.#showState();
  }

  #showState(): void {
    const problems = [...this.#problems.values()];
    const worst = problems.find(({ isOver }) => isOver) ?? problems[0];
    if (worst === undefined) this.#parts.hideProblem();
    else {
      const { error, isOver } = worst;
      // What the page has written is not better at another try.
      const canRetry = isOver && !(error instanceof ConfigInvalid);
      this.#parts.showProblem(describeProblem(error), isOver, canRetry);
    }
    if (worst?.isOver) this.#parts.showLoading(null);
    const state = worst?.isOver ? "failed" : this.#doing;
    if (state === this.#state) return;
    this.#state = state;
    this.#emit("sightline-state", { state });
  }

  #togglePlay(): void {
    const video = this.#video;
    if (video === null) return;
    if (!video.paused) video.pause();
    else video.play().catch((error: unknown) => this.#fail("source", error, false));
  }

  #toggleFullscreen(): void {
    const isFull = this.matches(":fullscreen");
    const turned = isFull ? document.exitFullscreen() : this.requestFullscreen();
    turned.catch((error: unknown) => this.#fail("source", error, false));
  }

  #emit<K extends keyof SightlineVideoEvents>(name: K, detail: SightlineVideoEvents[K]): void {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }
}
