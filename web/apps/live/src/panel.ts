/** The figures and lists beside the picture. Shows what it is given, knows no detector. */
import { type Backend, classColor, type Detection, type Engine } from "@sightline/web";
import type { CatalogueModel } from "./catalogue";
import { element, setText } from "./elements";

/** Running figures in milliseconds and frames per second; null while there is none. */
export interface Figures {
  readonly framesPerSecond: number | null;
  readonly latencyMs: number | null;
  readonly inferenceMs: number | null;
  readonly serverMs: number | null;
  /** Of the picture as it is watched, in pixels. */
  readonly pictureSize: readonly [width: number, height: number] | null;
}

const BACKEND_NAMES: Readonly<Record<Backend["name"], string>> = {
  wasm: "Wasm",
  webgpu: "WebGPU",
  webgl: "WebGL",
};

/** How often a screen reader may be told what is seen. */
const ANNOUNCE_EVERY_MS = 4000;

export class Panel {
  readonly #found = element("found", HTMLUListElement);
  readonly #count = element("count", HTMLOutputElement);
  readonly #announcement = element("announcement", HTMLParagraphElement);
  readonly #fps = element("fps", HTMLElement);
  readonly #latency = element("latency", HTMLElement);
  readonly #inference = element("inference", HTMLElement);
  readonly #picture = element("picture-size", HTMLElement);
  readonly #backend = element("backend", HTMLElement);
  readonly #threads = element("threads", HTMLElement);
  #engine: Engine | null = null;
  #announcedAt = Number.NEGATIVE_INFINITY;

  constructor() {
    // Where everything is in one column the settings are opened when they are wanted.
    const isWide = matchMedia("(min-width: 900px)").matches;
    element("settings", HTMLDetailsElement).open = isWide;
  }

  showFigures(figures: Figures): void {
    showFigure(this.#fps, figures.framesPerSecond, 1);
    showFigure(this.#latency, figures.latencyMs, 0);
    showFigure(this.#inference, figures.inferenceMs, 0);
    showText(this.#picture, figures.pictureSize?.join(" × ") ?? null);
    this.#showBackend(figures.serverMs);
  }

  /** What computes: a backend in this page, which may be exchanged while it runs, or a server. */
  #showBackend(serverMs: number | null): void {
    const isRemote = this.#engine !== null && this.#engine.detector === null;
    const backend = this.#engine?.detector?.backend ?? null;
    const name = backend === null ? null : BACKEND_NAMES[backend.name];
    const prefix = backend?.runtime === "tfjs" ? "TF.js " : "";
    showText(this.#backend, isRemote ? "Server" : name && prefix + name);
    setText(element("threads-name", HTMLElement), isRemote ? "In the server" : "Threads");
    showFigure(this.#threads, isRemote ? serverMs : (backend?.threads ?? null), 0);
    this.#threads.dataset.unit = isRemote ? "ms" : "";
  }

  /** The model and what runs it; null while that is not there. */
  showEngine(engine: Engine | null, model: CatalogueModel | null): void {
    this.#engine = engine;
    setText(element("model-name", HTMLParagraphElement), model?.name ?? "–");
    const facts = element("model-facts", HTMLParagraphElement);
    if (engine === null || model === null) {
      setText(facts, "–");
      return;
    }
    const { detector } = engine;
    const { labels } = model;
    const kinds = labels.length === 1 ? `finds ${labels[0]}` : `${labels.length} kinds of objects`;
    if (detector === null) {
      setText(facts, `${kinds} · runs on the server`);
      return;
    }
    const { width, height, graph } = detector.manifest;
    setText(facts, `${kinds} · ${width} × ${height} px · ${(graph.size / 1e6).toFixed(1)} MB`);
  }

  /** One line a class, in the order of its best score; null while nothing was looked at. */
  showDetections(detections: readonly Detection[] | null, isNoClassChosen: boolean): void {
    setText(this.#count, String(detections?.length ?? 0));
    const empty = isNoClassChosen ? "No class is chosen" : "Nothing found";
    this.#found.dataset.empty = detections === null ? "Nothing yet" : empty;
    const groups = groupByClass(detections ?? []);
    groups.forEach((group, index) => {
      const line = this.#found.children[index] ?? this.#found.appendChild(makeLine());
      fillLine(line, group);
    });
    while (this.#found.children.length > groups.length) this.#found.lastElementChild?.remove();
  }

  /** To screen readers, now and then; null takes back at once what was said. */
  announce(detections: readonly Detection[] | null, now: number): void {
    if (detections === null) {
      this.#announcedAt = Number.NEGATIVE_INFINITY;
      setText(this.#announcement, "");
      return;
    }
    if (now - this.#announcedAt < ANNOUNCE_EVERY_MS) return;
    this.#announcedAt = now;
    const counts = groupByClass(detections).map(({ label, count }) => `${count} ${label}`);
    setText(this.#announcement, counts.join(", ") || "Nothing found");
  }
}

interface ClassGroup {
  readonly label: string;
  readonly labelId: number;
  readonly bestScore: number;
  readonly count: number;
}

/** Classes with how often each was found, best score first. */
export function groupByClass(detections: readonly Detection[]): readonly ClassGroup[] {
  const groups = new Map<number, ClassGroup>();
  for (const { label, labelId, score } of detections) {
    const group = groups.get(labelId) ?? { label, labelId, bestScore: score, count: 0 };
    const bestScore = Math.max(group.bestScore, score);
    groups.set(labelId, { ...group, bestScore, count: group.count + 1 });
  }
  return [...groups.values()].sort((a, b) => b.bestScore - a.bestScore);
}

function showFigure(target: HTMLElement, value: number | null, digits: number): void {
  showText(target, value?.toFixed(digits) ?? null);
}

function showText(target: HTMLElement, text: string | null): void {
  setText(target, text ?? "–");
  target.classList.toggle("none", text === null);
}

function makeLine(): HTMLLIElement {
  const line = document.createElement("li");
  for (const name of ["swatch", "label", "times", "score"]) {
    const part = document.createElement("span");
    part.className = name;
    line.append(part);
  }
  return line;
}

function fillLine(line: Element, group: ClassGroup): void {
  const [swatch, label, times, score] = line.children as unknown as HTMLElement[];
  if (!swatch || !label || !times || !score) return;
  swatch.style.backgroundColor = `rgb(${classColor(group.labelId).join(" ")})`;
  setText(label, group.label);
  setText(times, group.count > 1 ? `× ${group.count}` : "");
  setText(score, `${Math.round(group.bestScore * 100)} %`);
}
