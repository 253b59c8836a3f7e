/**
 * A <video> whose objects are found while it plays: the loop, and what is made of its results.
 * `watchVideo`, <sightline-video>, the script tags and the live page are built on it.
 */
import type { Detection } from "../device/detector";
import { Counter, type CountingEvent, type Counts } from "../tracking/counting";
import type { CountingLine, CountingZone } from "../tracking/regions";
import { BoxSmoother } from "../tracking/smoothing";
import { LEAST_SCORE, Tracker } from "../tracking/tracker";
import { checkSettings } from "./check";
import type { Engine } from "./engine";
import { type LoopFigures, type Sighting, type Source, VideoLoop } from "./loop";
import type { Overlay } from "./overlay";
import type { Shown } from "./placement";

/** What may be changed while it runs. */
export interface WatchSettings {
  /** The least score that is shown; null: the model's own. */
  readonly threshold: number | null;
  /** Only these classes; null: all. */
  readonly labels: readonly string[] | null;
  /** At most so many, the best first. */
  readonly max: number;
  /** Whether objects are numbered from frame to frame, and their boxes steadied. */
  readonly track: boolean;
  /** Whether frames in which nothing has moved are passed over. */
  readonly motion: boolean;
  /** Of what counts as motion by default, how many times as much must move. */
  readonly motionFactor: number;
  /** Least time between two frames that are looked at. */
  readonly minIntervalMs: number;
  /** Whether the video is shown mirrored, as a selfie camera's. */
  readonly mirror: boolean;
  /**
   * "frame": boxes are drawn on the very frame they were found in, which takes the video's place;
   * "live": the video plays on and the boxes follow as they come.
   */
  readonly sync: "frame" | "live";
  /** Where objects are counted, which has them tracked. */
  readonly lines: readonly CountingLine[];
  readonly zones: readonly CountingZone[];
}

export const DEFAULT_SETTINGS: WatchSettings = {
  threshold: null,
  labels: null,
  max: 300,
  track: false,
  motion: false,
  motionFactor: 1,
  minIntervalMs: 0,
  mirror: false,
  sync: "frame",
  lines: [],
  zones: [],
};

/** What is in one frame, as it is shown. */
export interface WatchResult {
  /** Best score first, with ids where tracked. */
  readonly detections: readonly Detection[];
  readonly width: number;
  readonly height: number;
  /** On the clock of performance.now(). */
  readonly capturedAt: number;
  /** Whether nothing has moved and these are the detections of an earlier frame. */
  readonly isStill: boolean;
}

export interface WatchListener {
  readonly onResult?: (result: WatchResult) => void;
  /** The frame that a result is of, to be used or cloned at once: it is closed after the call. */
  readonly onPicture?: (picture: VideoFrame, result: WatchResult) => void;
  /** A tracked object crossed a line, came into a zone or left it. */
  readonly onCount?: (event: CountingEvent) => void;
  /** What was found before is not there any more: another place of the video, another source. */
  readonly onClear?: () => void;
  readonly onError?: (error: unknown) => void;
}

/** The live page's slider goes down to this; what is known of lower scores is dropped. */
export const LEAST_THRESHOLD = 0.01;

/** Joins a video, an engine and an overlay; each may be exchanged while it runs. */
export class VideoWatch {
  readonly #loop: VideoLoop;
  readonly #overlay: Overlay | null;
  readonly #listener: WatchListener;
  #settings: WatchSettings;
  #engine: Engine | null = null;
  #tracker: Tracker | null = null;
  #smoother = new BoxSmoother();
  #counter: Counter | null = null;
  /** Everything that is known of the frame on display. */
  #sighting: Omit<Sighting, "picture"> | null = null;
  #shown: WatchResult | null = null;
  /** The setting that was compared with what the model knows. */
  #checkedLabels: readonly string[] | null = null;

  /** `overlay`: to be drawn on, or null. Throws ConfigInvalid for settings that mean nothing. */
  constructor(
    video: HTMLVideoElement,
    overlay: Overlay | null,
    listener: WatchListener,
    settings: Partial<WatchSettings> = {},
  ) {
    this.#overlay = overlay;
    this.#listener = listener;
    this.#settings = DEFAULT_SETTINGS;
    this.#loop = new VideoLoop(video, () => this.#loopSettings(), {
      onSighting: (sighting) => this.#take(sighting),
      onJump: () => this.clear(),
      onError: (error) => this.#listener.onError?.(error),
    });
    this.configure(settings);
  }

  get settings(): WatchSettings {
    return this.#settings;
  }

  get engine(): Engine | null {
    return this.#engine;
  }

  /** What is on display; null before the first frame. */
  get result(): WatchResult | null {
    return this.#shown;
  }

  /** By line and zone, since they were set; null without any. */
  get counts(): Counts | null {
    return this.#counter?.counts ?? null;
  }

  /** The threshold in force: the one set, else the model's; null while neither is known. */
  get threshold(): number | null {
    const threshold = this.#settings.threshold ?? this.#engine?.scoreThreshold ?? null;
    return threshold === null ? null : Math.max(LEAST_THRESHOLD, threshold);
  }

  figures(): LoopFigures {
    return this.#loop.figures();
  }

  /** Change settings; what is on display follows at once. Throws ConfigInvalid, changing nothing. */
  configure(changes: Partial<WatchSettings>): void {
    checkSettings(changes);
    const given = Object.entries(changes).filter(([, value]) => value !== undefined);
    const settings: WatchSettings = { ...this.#settings, ...Object.fromEntries(given) };
    if (changes.lines !== undefined || changes.zones !== undefined) {
      const { lines, zones } = settings;
      this.#counter = lines.length + zones.length > 0 ? new Counter({ lines, zones }) : null;
    }
    this.#settings = settings;
    this.#overlay?.configure({ mirror: settings.mirror });
    if (!this.#isTracking()) this.#forget();
    if (this.#tracker !== null && this.threshold !== null) this.#tracker.threshold = this.threshold;
    this.#askForScores();
    this.#reshow();
  }

  /** Have this find the objects from now on. The former engine stays the caller's, to close. */
  setEngine(engine: Engine | null): void {
    this.#engine = engine;
    this.#checkedLabels = null;
    this.#forget();
    this.clear();
    this.#askForScores();
    this.#loop.setEngine(engine);
  }

  /** Have this looked at, shown in `element`; null: nothing. */
  setSource(source: Source | null, element?: Shown): void {
    this.clear();
    if (element !== undefined) this.#overlay?.follow(element);
    this.#loop.setSource(source);
  }

  /** Look once more at what does not move: a photo, a paused video. */
  refresh(): void {
    this.#loop.refresh();
  }

  /** Show nothing until the next result. */
  clear(): void {
    this.#sighting = null;
    this.#shown = null;
    this.#overlay?.clear();
    this.#listener.onClear?.();
  }

  /** End it; the engine stays the caller's. */
  close(): void {
    this.#loop.close();
    this.#overlay?.close();
  }

  #isTracking(): boolean {
    const { track, lines, zones } = this.#settings;
    return track || lines.length + zones.length > 0;
  }

  /** Objects are numbered anew: those of before are none of them. */
  #forget(): void {
    this.#tracker = null;
    this.#smoother = new BoxSmoother();
    this.#tell(this.#counter?.forget() ?? []);
  }

  #tell(events: readonly CountingEvent[]): void {
    for (const event of events) this.#listener.onCount?.(event);
  }

  #showsPictures(): boolean {
    return this.#settings.sync === "frame" && this.#overlay !== null;
  }

  #loopSettings() {
    const { motion, motionFactor, minIntervalMs } = this.#settings;
    return {
      threshold: LEAST_THRESHOLD,
      motion,
      motionFactor,
      minIntervalMs,
      keepsPictures: this.#showsPictures() || this.#listener.onPicture !== undefined,
    };
  }

  /** A server is told only where it must tell more; its model's own threshold it knows. */
  #askForScores(): void {
    const { threshold } = this;
    if (threshold === null) return;
    if (this.#isTracking()) this.#engine?.setThreshold(Math.min(LEAST_SCORE, threshold));
    else if (this.#settings.threshold !== null) this.#engine?.setThreshold(threshold);
  }

  #take({ result, capturedAt, picture }: Sighting): void {
    this.#checkLabels();
    const known = this.#sighting;
    const held = result.isStill && known !== null ? known.result.detections : result.detections;
    const detections = result.isStill ? held : this.#follow(result.detections, capturedAt);
    this.#sighting = { result: { ...result, detections }, capturedAt };
    const shown = this.#pick();
    if (shown === null) {
      picture?.close();
      return;
    }
    if (picture !== null) this.#listener.onPicture?.(picture, shown);
    this.#display(shown, picture);
    if (this.#counter !== null && !shown.isStill) {
      this.#tell(this.#counter.update(shown.detections, shown.width, shown.height, capturedAt));
    }
    this.#listener.onResult?.(shown);
  }

  /** A misspelled label shows nothing, for ever: said once. */
  #checkLabels(): void {
    const { labels } = this.#settings;
    const known = this.#engine?.labels ?? []; // a server's come with its first answer
    if (labels === null || labels === this.#checkedLabels || known.length === 0) return;
    this.#checkedLabels = labels;
    const unknown = labels.filter((label) => !known.includes(label));
    if (unknown.length === 0) return;
    console.warn(`Sightline: the model knows no ${unknown.join(", no ")}, but ${known.join(", ")}`);
  }

  /** The detections with their objects' numbers, and boxes that do not tremble. */
  #follow(detections: readonly Detection[], capturedAt: number): readonly Detection[] {
    return this.#smoother.smooth(this.#number(detections, capturedAt), capturedAt);
  }

  /** Objects go on below the threshold too, so weaker candidates are asked for. */
  #startTracking(threshold: number): Tracker {
    this.#askForScores();
    return new Tracker(threshold);
  }

  /** Of those that the tracker shows. */
  #number(detections: readonly Detection[], capturedAt: number): readonly Detection[] {
    const threshold = this.threshold;
    if (!this.#isTracking() || threshold === null) return detections;
    this.#tracker ??= this.#startTracking(threshold);
    const least = Math.fround(Math.min(LEAST_SCORE, threshold));
    const candidates = detections.filter(({ score }) => score >= least);
    const ids = this.#tracker.update(
      Float32Array.from(candidates.flatMap(({ boxXyxy }) => boxXyxy)),
      Float32Array.from(candidates, ({ score }) => score),
      Int32Array.from(candidates, ({ labelId }) => labelId),
      capturedAt / 1000,
    );
    return candidates.flatMap((found, index) => {
      const id = ids[index] ?? 0;
      return id === 0 ? [] : [{ ...found, id }];
    });
  }

  /** What is to be shown of what is known. */
  #pick(): WatchResult | null {
    if (this.#sighting === null) return null;
    const { result, capturedAt } = this.#sighting;
    const { labels, max } = this.#settings;
    const least = Math.fround(this.threshold ?? LEAST_THRESHOLD);
    const detections = result.detections
      // The tracker shows weaker ones too where they go on with an object it knows.
      .filter(({ score, id }) => id !== undefined || score >= least)
      .filter(({ label }) => labels === null || labels.includes(label))
      .slice(0, max);
    const { width, height, isStill } = result;
    return { detections, width, height, capturedAt, isStill };
  }

  #display(shown: WatchResult, picture?: VideoFrame | null): void {
    this.#shown = shown;
    const isWanted = this.#showsPictures();
    if (!isWanted) picture?.close();
    const marks = markCounts(this.#settings, this.counts);
    // Without a picture to a result that is shown otherwise: it is still of the same frame.
    this.#overlay?.show({ ...shown, ...marks }, isWanted ? picture : null);
  }

  /** The frame on display by the settings as they are now. */
  #reshow(): void {
    const shown = this.#pick();
    if (shown === null) return;
    this.#display(shown);
    this.#listener.onResult?.(shown);
  }
}

/** Lines and zones with what was counted there, to be drawn. */
function markCounts({ lines, zones }: WatchSettings, counts: Counts | null) {
  return {
    lines: lines.map((line) => {
      const { forwards = 0, backwards = 0 } = counts?.lines[line.name] ?? {};
      return { ...line, count: `${forwards} → ${backwards} ←` };
    }),
    zones: zones.map((zone) => ({
      ...zone,
      count: String(counts?.zones[zone.name]?.inside ?? 0),
    })),
  };
}
