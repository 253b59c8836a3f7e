/** The frame around the picture: what it shows, the loading strip, problems, the status line. */
import { button, element, setText } from "./elements";
import { describeProblem } from "./problems";

export type StageView = "empty" | "video" | "photo";
export type StatusState = "loading" | "connecting" | "ready" | "live" | "paused" | "problem";

const STATUS_TEXT: Record<StatusState, string> = {
  loading: "Loading",
  connecting: "Connecting",
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

  constructor() {
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
