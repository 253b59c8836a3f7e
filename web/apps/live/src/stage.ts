/** The frame around the picture: what it shows, the loading strip, problems, the status line. */
import { firstLine } from "@sightline/web";
import { button, element, setIcon, setText } from "./elements";
import { describeProblem } from "./problems";

export type StageView = "empty" | "video" | "photo";
export type StatusState =
  | "loading"
  | "connecting"
  | "waiting"
  | "ready"
  | "live"
  | "paused"
  | "problem";

const STATUS_TEXT: Record<StatusState, string> = {
  loading: "Loading",
  connecting: "Connecting",
  waiting: "Waiting for the first result",
  ready: "Ready",
  live: "Live",
  paused: "Paused",
  problem: "Problem",
};

/** What the button beside a problem offers. */
export interface Remedy {
  readonly label: string;
  readonly act: () => void;
}

/** How long a note stays. */
const NOTE_MS = 4000;

export const again = (act: () => void): Remedy => ({ label: "Try again", act });

export class Stage {
  readonly video = element("video", HTMLVideoElement);
  readonly photo = element("still", HTMLImageElement);
  readonly #root = element("stage", HTMLDivElement);
  readonly #loading = element("loading", HTMLDivElement);
  readonly #loadingText = element("loading-text", HTMLParagraphElement);
  readonly #loadingBar = element("loading-bar", HTMLProgressElement);
  readonly #problem = element("problem", HTMLDivElement);
  readonly #status = element("status", HTMLParagraphElement);
  #remedy: Remedy | null = null;
  #noteTimer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    const fullScreen = button("full-screen");
    fullScreen.hidden = !document.fullscreenEnabled; // iPhones show only bare videos so
    fullScreen.addEventListener("click", () => this.toggleFullScreen());
    document.addEventListener("fullscreenchange", () => {
      const isFull = document.fullscreenElement !== null;
      fullScreen.ariaLabel = isFull ? "Leave full screen" : "Full screen";
      setIcon(fullScreen, isFull ? "shrink" : "grow");
    });
    button("problem-retry").addEventListener("click", () => {
      const remedy = this.#remedy;
      this.hideProblem();
      remedy?.act();
    });
  }

  show(view: StageView): void {
    this.#root.dataset.view = view;
    const isTall =
      view === "video"
        ? this.video.videoHeight > this.video.videoWidth
        : view === "photo" && this.photo.naturalHeight > this.photo.naturalWidth;
    this.#root.classList.toggle("tall", isTall);
  }

  /** What the picture is in. */
  get shown(): HTMLVideoElement | HTMLImageElement {
    return this.#root.dataset.view === "photo" ? this.photo : this.video;
  }

  /** Of the picture on display, in its own pixels; null while there is none. */
  get pictureSize(): readonly [width: number, height: number] | null {
    const { view } = this.#root.dataset;
    const { video, photo } = this;
    if (view === "video") return [video.videoWidth, video.videoHeight];
    return view === "photo" ? [photo.naturalWidth, photo.naturalHeight] : null;
  }

  /** Whether what is shown comes from a camera. */
  showsCamera(isCamera: boolean): void {
    element("camera-tools", HTMLDivElement).hidden = !isCamera;
    element("mirror-choice", HTMLLabelElement).hidden = !isCamera;
  }

  /** Show the video mirrored, as a mirror would the one before it. */
  mirror(isMirrored: boolean): void {
    this.video.classList.toggle("mirrored", isMirrored);
  }

  /** A line over the picture, for a moment. */
  showNote(text: string): void {
    const note = element("note", HTMLParagraphElement);
    setText(note, text);
    note.hidden = false;
    clearTimeout(this.#noteTimer);
    this.#noteTimer = setTimeout(() => {
      note.hidden = true;
    }, NOTE_MS);
  }

  /** Fill the screen with the picture, or give it back. */
  toggleFullScreen(): void {
    const isFull = document.fullscreenElement !== null;
    const change = isFull ? document.exitFullscreen() : this.#root.requestFullscreen();
    change.catch((error: unknown) => this.showNote(`No full screen: ${firstLine(error)}`));
  }

  showStatus(state: StatusState): void {
    this.#status.dataset.state = state;
    setText(element("status-text", HTMLSpanElement), STATUS_TEXT[state]);
  }

  /** Bytes so far of all; when all are there, the graph is being made ready. */
  showLoading(name: string, loadedBytes: number, totalBytes: number): void {
    this.#loading.hidden = false;
    const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);
    if (loadedBytes < totalBytes) {
      const amount = `${megabytes(loadedBytes)} of ${megabytes(totalBytes)} MB`;
      setText(this.#loadingText, `Loading ${name}: ${amount}`);
      this.#loadingBar.value = loadedBytes / totalBytes;
    } else {
      setText(this.#loadingText, `Preparing ${name}`);
      this.#loadingBar.removeAttribute("value");
    }
  }

  hideLoading(): void {
    this.#loading.hidden = true;
  }

  /** The error in words, with a button for what may help. */
  showProblem(error: unknown, remedy: Remedy, note = ""): void {
    const { title, advice } = describeProblem(error);
    setText(element("problem-title", HTMLParagraphElement), title);
    setText(element("problem-advice", HTMLParagraphElement), `${advice} ${note}`.trim());
    setText(button("problem-retry"), remedy.label);
    this.#remedy = remedy;
    this.#problem.hidden = false;
  }

  hideProblem(): void {
    this.#problem.hidden = true;
    this.#remedy = null;
  }

  /** Files dropped anywhere on the page. */
  onDrop(listener: (file: File) => void): void {
    window.addEventListener("dragover", (event) => {
      event.preventDefault();
      this.#root.classList.add("dropping");
    });
    window.addEventListener("dragleave", (event) => {
      if (event.relatedTarget === null) this.#root.classList.remove("dropping");
    });
    window.addEventListener("drop", (event) => {
      event.preventDefault();
      this.#root.classList.remove("dropping");
      const file = event.dataTransfer?.files[0];
      if (file !== undefined) listener(file);
    });
  }
}
