/**
 * What an overlay is painted on. Without a GPU, turning a 720p frame into a canvas's colours takes
 * tens of milliseconds: where frames are drawn, a worker does it.
 */
import { startWorker } from "../workers";
import { type Context, paintScene, type Scene } from "./paint";
import workerUrl from "./paintworker?worker&url";

/** To the worker. A picture is the worker's from then on; without one the last is drawn again. */
export type PaintRequest =
  | { readonly kind: "open"; readonly id: number; readonly canvas: OffscreenCanvas }
  | {
      readonly kind: "paint";
      readonly id: number;
      readonly number: number;
      readonly scene: Scene | null;
      readonly size: PixelSize;
      readonly picture: VideoFrame | null | undefined;
    }
  | { readonly kind: "close"; readonly id: number };

/** From the worker: what was asked for by this number is on its way to the screen. */
export interface PaintAnswer {
  readonly id: number;
  readonly number: number;
}

export interface PixelSize {
  readonly width: number;
  readonly height: number;
}

export interface Surface {
  readonly canvas: HTMLCanvasElement;
  /** Paints anew, and takes the picture over; undefined: the last one stays. */
  paint(scene: Scene | null, size: PixelSize, picture?: VideoFrame | null): void;
  close(): void;
}

function createCanvas(): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.className = "sightline-overlay";
  canvas.ariaHidden = "true";
  return canvas;
}

/** Boxes alone, in the page's own thread. */
export class BoxSurface implements Surface {
  readonly canvas = createCanvas();
  readonly #context: Context;

  constructor() {
    const context = this.canvas.getContext("2d");
    if (context === null) throw new Error("this browser gives no 2D canvas");
    this.#context = context;
  }

  paint(scene: Scene | null, { width, height }: PixelSize, picture?: VideoFrame | null): void {
    picture?.close();
    if (this.canvas.width !== width) this.canvas.width = width;
    if (this.canvas.height !== height) this.canvas.height = height;
    paintScene(this.#context, scene, null);
  }

  close(): void {
    this.canvas.remove();
  }
}

export interface SurfaceListener {
  /** What was painted is seen. */
  onShown(): void;
  /** No worker paints here. */
  onFailure(): void;
}

/** Painted on and laid out, but not seen. */
const HIDDEN = "inset(50%)";

/** One worker paints for all overlays of the page. */
let painter: Worker | null = null;
const open = new Map<number, PictureSurface>();
let lastId = 0;

/** Frames with their boxes, painted in one go in a worker. */
export class PictureSurface implements Surface {
  readonly canvas = createCanvas();
  readonly #id = ++lastId;
  readonly #listener: SurfaceListener;
  readonly #worker: Worker;
  #paintings = 0;
  /** The first painting since the last one of nothing. */
  #shownFrom = 1;

  constructor(listener: SurfaceListener) {
    this.#listener = listener;
    this.canvas.style.clipPath = HIDDEN;
    this.#worker = painter ??= startPainter();
    open.set(this.#id, this);
    const canvas = this.canvas.transferControlToOffscreen();
    this.#ask({ kind: "open", id: this.#id, canvas }, [canvas]);
  }

  static isPossible(): boolean {
    return "transferControlToOffscreen" in HTMLCanvasElement.prototype;
  }

  paint(scene: Scene | null, size: PixelSize, picture?: VideoFrame | null): void {
    const number = ++this.#paintings;
    if (scene === null) {
      // The worker is a moment late, and nothing of what is over may be seen in it.
      this.canvas.style.clipPath = HIDDEN;
      this.#shownFrom = number + 1;
    }
    const moved = picture ? [picture] : [];
    this.#ask({ kind: "paint", id: this.#id, number, scene, size, picture }, moved);
  }

  show(number: number): void {
    if (number < this.#shownFrom) return;
    this.canvas.style.clipPath = "";
    this.#listener.onShown();
  }

  fail(): void {
    this.#listener.onFailure();
  }

  close(): void {
    open.delete(this.#id);
    this.canvas.remove();
    this.#ask({ kind: "close", id: this.#id });
  }

  #ask(request: PaintRequest, moved: Transferable[] = []): void {
    this.#worker.postMessage(request, moved);
  }
}

function startPainter(): Worker {
  const worker = startWorker(workerUrl);
  worker.onmessage = ({ data }: MessageEvent<PaintAnswer>) => open.get(data.id)?.show(data.number);
  worker.onerror = (event) => {
    event.preventDefault();
    worker.terminate();
    painter = null;
    for (const surface of [...open.values()]) surface.fail();
  };
  return worker;
}
