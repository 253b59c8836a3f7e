/** Boxes and labels on a canvas that lies over the picture and keeps to it at any size. */
import { classColor, type Detection, textColor } from "@sightline/web";

export interface Rect {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Where `object-fit: contain` puts a picture inside a box, in the box's units. */
export function containedRect(
  boxWidth: number,
  boxHeight: number,
  pictureWidth: number,
  pictureHeight: number,
): Rect {
  if (pictureWidth <= 0 || pictureHeight <= 0) return { x: 0, y: 0, width: 0, height: 0 };
  const scale = Math.min(boxWidth / pictureWidth, boxHeight / pictureHeight);
  const width = pictureWidth * scale;
  const height = pictureHeight * scale;
  return { x: (boxWidth - width) / 2, y: (boxHeight - height) / 2, width, height };
}

/** Detections in pixels of a width x height picture. */
export interface Drawing {
  readonly detections: readonly Detection[];
  readonly width: number;
  readonly height: number;
}

const FONT = '600 13px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
const LABEL_HEIGHT = 22;
const LABEL_PADDING = 7;
const CORNER = 5;

/** Draws in CSS pixels: the context is already scaled by the device pixel ratio. */
export function drawDetections(
  context: CanvasRenderingContext2D,
  drawing: Drawing,
  target: Rect,
): void {
  const scale = target.width / drawing.width;
  context.save();
  context.beginPath();
  context.rect(target.x, target.y, target.width, target.height);
  context.clip();
  context.font = FONT;
  context.textBaseline = "middle";
  context.lineJoin = "round";
  // The best last, so that its label lies on top.
  for (const found of [...drawing.detections].reverse()) {
    const [x1, y1, x2, y2] = found.boxXyxy;
    const box = {
      x: target.x + x1 * scale,
      y: target.y + y1 * scale,
      width: Math.max(1, (x2 - x1) * scale),
      height: Math.max(1, (y2 - y1) * scale),
    };
    drawBox(context, box, found.labelId);
    drawLabel(context, box, found, target);
  }
  context.restore();
}

function drawBox(context: CanvasRenderingContext2D, box: Rect, labelId: number): void {
  const [red, green, blue] = classColor(labelId);
  context.beginPath();
  context.roundRect(box.x, box.y, box.width, box.height, CORNER);
  context.fillStyle = `rgb(${red} ${green} ${blue} / 12%)`;
  context.fill();
  // A dark edge under the colour keeps it visible on pictures of the same colour.
  context.lineWidth = 4.5;
  context.strokeStyle = "rgb(0 0 0 / 45%)";
  context.stroke();
  context.lineWidth = 2.5;
  context.strokeStyle = `rgb(${red} ${green} ${blue})`;
  context.stroke();
}

function drawLabel(
  context: CanvasRenderingContext2D,
  box: Rect,
  found: Detection,
  target: Rect,
): void {
  const color = classColor(found.labelId);
  const text = `${found.label} ${Math.round(found.score * 100)} %`;
  const width = context.measureText(text).width + 2 * LABEL_PADDING;
  const left = Math.max(target.x, Math.min(box.x - 1, target.x + target.width - width));
  const isRoomAbove = box.y - LABEL_HEIGHT >= target.y;
  const top = isRoomAbove ? box.y - LABEL_HEIGHT : Math.max(target.y, box.y);
  context.beginPath();
  context.roundRect(
    left,
    top,
    width,
    LABEL_HEIGHT,
    isRoomAbove ? [CORNER, CORNER, CORNER, 0] : CORNER,
  );
  context.fillStyle = `rgb(${color.join(" ")})`;
  context.fill();
  context.fillStyle = textColor(color);
  context.fillText(text, left + LABEL_PADDING, top + LABEL_HEIGHT / 2 + 0.5);
}

/** The canvas over the stage: redraws the last detections whenever its size changes. */
export class Overlay {
  readonly #canvas: HTMLCanvasElement;
  readonly #context: CanvasRenderingContext2D;
  #drawing: Drawing | null = null;
  #width = 0;
  #height = 0;

  constructor(canvas: HTMLCanvasElement) {
    const context = canvas.getContext("2d");
    if (context === null) throw new Error("this browser gives no 2D canvas");
    this.#canvas = canvas;
    this.#context = context;
    new ResizeObserver(() => this.#fit()).observe(canvas);
    // Zooming and moving to another screen change the ratio without changing the size.
    window.addEventListener("resize", () => this.#fit());
    this.#fit();
  }

  /** Null clears. */
  show(drawing: Drawing | null): void {
    this.#drawing = drawing;
    this.#context.clearRect(0, 0, this.#width, this.#height);
    if (drawing === null) return;
    const target = containedRect(this.#width, this.#height, drawing.width, drawing.height);
    drawDetections(this.#context, drawing, target);
  }

  #fit(): void {
    const { clientWidth, clientHeight } = this.#canvas;
    const ratio = window.devicePixelRatio;
    this.#width = clientWidth;
    this.#height = clientHeight;
    this.#canvas.width = Math.round(clientWidth * ratio);
    this.#canvas.height = Math.round(clientHeight * ratio);
    this.#context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.show(this.#drawing);
  }
}
