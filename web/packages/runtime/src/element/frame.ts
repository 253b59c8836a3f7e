/** What <sightline-video> shows around and over its video. Knows no detector. */
import type { Problem } from "../problems";

/** What the buttons do. */
export interface FrameListener {
  onRetry(): void;
  onTogglePlay(): void;
  onToggleFullscreen(): void;
  /** The page has put something into the element, or taken it out. */
  onContent(): void;
}

const STYLE = `
:host { display: block; position: relative; color-scheme: light dark;
  font: 14px/1.4 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
:host([hidden]) { display: none; }
video, ::slotted(video) { display: block; width: 100%; height: 100%; aspect-ratio: auto 16 / 9;
  object-fit: contain; background: #000; }
:host(:fullscreen) { background: #000; }
:host(:fullscreen) video, :host(:fullscreen) ::slotted(video) { height: 100vh; }
[hidden] { display: none !important; }
.loading, .bar, .problem { position: absolute; z-index: 1; box-sizing: border-box; }
.loading { inset: 0 0 auto; padding: 8px 12px; display: flex; gap: 10px; align-items: center;
  background: rgb(0 0 0 / 72%); color: #fff; }
progress { flex: 1; min-width: 0; height: 6px; accent-color: var(--sightline-accent, #2dd4bf); }
.bar { inset: auto 0 0; padding: 8px; display: flex; gap: 8px; justify-content: space-between;
  background: linear-gradient(transparent, rgb(0 0 0 / 65%)); opacity: 0;
  transition: opacity 150ms; }
.bar.still, :host(:hover) .bar, .bar:focus-within { opacity: 1; }
.bar button { background: rgb(0 0 0 / 72%); color: #fff; border-color: transparent; }
/* A little larger: at fractions of pixels the video would be seen around it. */
.problem { inset: -1px; padding: 16px; display: grid; place-content: center; justify-items: center;
  gap: 8px; text-align: center; overflow: auto; background: var(--sightline-background, Canvas);
  color: var(--sightline-text, CanvasText); }
.problem.passing { inset: -1px -1px auto; }
.problem p { margin: 0; max-width: 52ch; overflow-wrap: anywhere; }
.problem strong { font-size: 16px; }
button { font: inherit; font-weight: 600; min-width: 44px; min-height: 44px; padding: 0 14px;
  border: 1px solid currentcolor; border-radius: var(--sightline-radius, 8px); cursor: pointer;
  background: transparent; color: inherit; }
button:focus-visible { outline: 3px solid var(--sightline-accent, #2dd4bf); outline-offset: 2px; }
.summary { position: absolute; width: 1px; height: 1px; margin: 0; overflow: hidden;
  clip-path: inset(50%); white-space: nowrap; }
@media (hover: none) { .bar { opacity: 1; } }
@media (prefers-reduced-motion: reduce) { .bar { transition: none; } }
`;

/** Not in the style attribute, which content policies may forbid. */
let sheet: CSSStyleSheet | undefined;

function sharedSheet(): CSSStyleSheet {
  if (sheet === undefined) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
  }
  return sheet;
}

export class VideoFrameParts {
  readonly #root: ShadowRoot;
  readonly #slot = make("slot");
  readonly #loading = make("div", "loading");
  readonly #progress = make("progress", "progress");
  readonly #bar = make("div", "bar");
  readonly #play = make("button", "play");
  readonly #fullscreen = make("button", "fullscreen");
  readonly #problem = make("div", "problem");
  readonly #title = make("strong", "problem-title");
  readonly #advice = make("p", "problem-advice");
  readonly #retry = make("button", "retry");
  readonly #summary = make("p", "summary");

  constructor(root: ShadowRoot, listener: FrameListener) {
    this.#root = root;
    root.adoptedStyleSheets = [sharedSheet()];
    const words = make("span");
    words.textContent = "Loading the model";
    this.#progress.ariaLabel = "Loading the model";
    this.#loading.append(words, this.#progress);
    this.#bar.append(this.#play, this.#fullscreen);
    this.#problem.role = "alert";
    this.#problem.append(this.#title, this.#advice, this.#retry);
    this.#retry.textContent = "Retry";
    this.#fullscreen.textContent = "Full screen";
    this.#summary.ariaLive = "polite";
    this.#retry.addEventListener("click", () => listener.onRetry());
    this.#play.addEventListener("click", () => listener.onTogglePlay());
    this.#fullscreen.addEventListener("click", () => listener.onToggleFullscreen());
    this.#slot.addEventListener("slotchange", () => listener.onContent());
    for (const part of [this.#loading, this.#bar, this.#problem]) part.hidden = true;
    root.append(this.#slot, this.#loading, this.#bar, this.#problem, this.#summary);
    this.showPlaying(false);
  }

  /** Show a video of the element's own. */
  add(video: HTMLVideoElement): void {
    this.#root.prepend(video);
  }

  /** How much of the model is here, 0..1; null: all, and ready. */
  showLoading(share: number | null): void {
    this.#loading.hidden = share === null;
    if (share !== null) this.#progress.value = share;
  }

  showControls(isWanted: boolean): void {
    this.#bar.hidden = !isWanted;
  }

  showPlaying(isPlaying: boolean): void {
    this.#play.textContent = isPlaying ? "Pause" : "Play";
    this.#bar.classList.toggle("still", !isPlaying);
  }

  /** `isOver`: nothing goes on by itself, and nothing is seen. */
  showProblem(problem: Problem, isOver: boolean, canRetry: boolean): void {
    this.#title.textContent = problem.title;
    this.#advice.textContent = problem.advice;
    this.#retry.hidden = !canRetry;
    this.#problem.classList.toggle("passing", !isOver);
    this.#problem.hidden = false;
    this.#bar.inert = isOver; // it lies beneath
  }

  hideProblem(): void {
    this.#problem.hidden = true;
    this.#bar.inert = false;
  }

  /** To screen readers. */
  say(summary: string): void {
    if (this.#summary.textContent !== summary) this.#summary.textContent = summary;
  }
}

function make<K extends keyof HTMLElementTagNameMap>(tag: K, name?: string) {
  const made = document.createElement(tag);
  if (name !== undefined) {
    made.className = name;
    made.setAttribute("part", name);
  }
  if (made instanceof HTMLButtonElement) made.type = "button";
  return made;
}
