/** One other page of the call: its video with the boxes of what is found in it, and its state. */
import {
  describeProblem,
  type VideoWatch,
  type WatchOptions,
  type WatchResult,
  watchVideo,
} from "@sightline/web";
import { setText } from "../../live/src/elements";

/** What a watch needs to know; the tile listens to it itself. */
export type WatchWish = Pick<WatchOptions, "model" | "server" | "transport">;

export class Tile {
  readonly root: HTMLElement;
  readonly #video: HTMLVideoElement;
  readonly #note: HTMLElement;
  readonly #found: HTMLElement;
  readonly #figures: HTMLElement;
  #watch: VideoWatch | null = null;
  #wish: WatchWish | null = null;
  #isShowing = false;
  #state = "";
  #problem = "";

  constructor(template: HTMLTemplateElement, name: string) {
    const copy = document.importNode(template.content, true);
    this.root = part(copy, ".tile", HTMLElement);
    this.#video = part(copy, "video", HTMLVideoElement);
    this.#note = part(copy, ".tile-note", HTMLElement);
    this.#found = part(copy, ".found-here", HTMLElement);
    this.#figures = part(copy, ".figures-here", HTMLElement);
    setText(part(copy, ".name", HTMLElement), name);
    this.#video.ariaLabel = `Video of ${name}`;
    this.#video.addEventListener("resize", () => {
      this.#video.dataset.size = `${this.#video.videoWidth}x${this.#video.videoHeight}`;
    });
  }

  /** What was found last; null before the first frame. */
  get result(): WatchResult | null {
    return this.#watch?.result ?? null;
  }

  get note(): string {
    return this.#note.textContent;
  }

  /** What the other page sends from now on. */
  setStream(stream: MediaStream): void {
    this.#video.srcObject = stream;
    this.#video.play().catch(() => undefined); // begins when there are pictures
  }

  /** Whether pictures come, and else why not. */
  setState(isShowing: boolean, state: string): void {
    this.#isShowing = isShowing;
    this.#state = state;
    this.root.dataset.view = isShowing ? "video" : "empty";
    if (isShowing && this.#watch === null) this.#start();
    if (!isShowing) this.#stop();
    this.#describe();
  }

  /** Have the objects found like this from now on; null: not at all. */
  setWish(wish: WatchWish | null): void {
    this.#wish = wish;
    this.#stop();
    if (this.#isShowing) this.#start();
    this.#describe();
  }

  showFigures(): void {
    const { framesPerSecond = null, latencyMs = null } = this.#watch?.figures() ?? {};
    const isRunning = framesPerSecond !== null && latencyMs !== null;
    setText(
      this.#figures,
      isRunning ? `${framesPerSecond.toFixed(1)} fps · ${latencyMs.toFixed(0)} ms` : "",
    );
  }

  remove(): void {
    this.#stop();
    this.#video.srcObject = null;
    this.root.remove();
  }

  #start(): void {
    if (this.#wish === null) return;
    const fail = (error: unknown) => {
      const { title, advice } = describeProblem(error);
      this.#problem = `${title}: ${advice}`;
      this.#describe();
    };
    setText(this.#found, "Loading the model");
    this.#watch = watchVideo(this.#video, {
      ...this.#wish,
      onResult: (result) => {
        this.#problem = "";
        setText(this.#found, summarize(result));
        this.#describe();
      },
      onError: fail,
      onState: (state) => {
        if (state.kind === "waiting") fail(state.error);
      },
    });
  }

  #stop(): void {
    this.#watch?.close();
    this.#watch = null;
    this.#problem = "";
    setText(this.#found, "");
  }

  #describe(): void {
    setText(this.#note, this.#state || this.#problem);
    this.#note.hidden = this.#note.textContent === "";
  }
}

/** "bottle × 2, person". */
export function summarize({ detections }: Pick<WatchResult, "detections">): string {
  const counts = new Map<string, number>();
  for (const { label } of detections) counts.set(label, (counts.get(label) ?? 0) + 1);
  const parts = [...counts].map(([label, count]) => (count > 1 ? `${label} × ${count}` : label));
  return parts.join(", ") || "Nothing found";
}

function part<E extends Element>(
  parent: ParentNode,
  selector: string,
  Kind: abstract new () => E,
): E {
  const found = parent.querySelector(selector);
  if (!(found instanceof Kind)) throw new Error(`the tile has no ${selector}`);
  return found;
}
