/** Boxes and labels on a canvas that lies over the picture and keeps to it at any size. */
import { classColor, textColor } from "../colors";
import type { Detection } from "../device/detector";

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

const FONT_FAMILY = 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
const CORNER = 5;
/** Below this many CSS pixels of picture, as on a phone, labels are small. */
const SMALL_PICTURE = 480;

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
  context.textBaseline = "middle";
  context.lineJoin = "round";
  const placed = drawing.detections.map((found) => ({
    found,
    box: placeBox(found, target, scale),
  }));
  // The best last, so that it lies on top; labels after all boxes, so that no line crosses them.
  placed.reverse();
  for (const { found, box } of placed) drawBox(context, box, found.labelId);
  for (const { found, box } of placed) drawLabel(context, box, found, target);
  context.restore();
}

function placeBox(found: Detection, target: Rect, scale: number): Rect {
  const [x1, y1, x2, y2] = found.boxXyxy;
  return {
    x: target.x + x1 * scale,
    y: target.y + y1 * scale,
    width: Math.max(1, (x2 - x1) * scale),
    height: Math.max(1, (y2 - y1) * scale),
  };
}

function drawBox(context: CanvasRenderingContext2D, box: Rect, labelId: number): void {
  const [red, green, blue] = classColor(labelId);
  context.beginPath();
  context.roundRect(box.x, box.y, box.width, box.height, CORNER);
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
  const fontSize = target.width < SMALL_PICTURE ? 11 : 13;
  const height = fontSize + 9;
  const padding = fontSize / 2;
  context.font = `600 ${fontSize}px ${FONT_FAMILY}`;
  const text = `${found.label} ${Math.round(found.score * 100)} %`;
  const width = context.measureText(text).width + 2 * padding;
  const left = Math.max(target.x, Math.min(box.x - 1, target.x + target.width - width));
  const isRoomAbove = box.y - height >= target.y;
  const top = isRoomAbove ? box.y - height : Math.max(target.y, box.y);
  context.beginPath();
  context.roundRect(left, top, width, height, isRoomAbove ? [CORNER, CORNER, CORNER, 0] : CORNER);
  context.fillStyle = `rgb(${color.join(" ")})`;
  context.fill();
  context.fillStyle = textColor(color);
  context.fillText(text, left + padding, top + height / 2 + 0.5);
}

export interface OverlaySettings {
  /** Whether the picture is shown mirrored; labels never are. */
  readonly mirror: boolean;
}

/** What a picture is shown in. */
export type Shown = HTMLVideoElement | HTMLImageElement;

/**
 * Boxes over a <video> or <img> of any page, and beneath them the frame that they were found in,
 * where it is given. Keeps to the element whatever its size, place and object-fit.
 */
export class Overlay {
  readonly #canvas = document.createElement("canvas");
  readonly #context: CanvasRenderingContext2D;
  readonly #resized = new ResizeObserver(() => this.#fit());
  #settings: OverlaySettings;
  #shown: Shown;
  #drawing: Drawing | null = null;
  #width = 0;
  #height = 0;

  constructor(shown: Shown, settings: OverlaySettings) {
    const context = this.#canvas.getContext("2d");
    if (context === null) throw new Error("this browser gives no 2D canvas");
    this.#context = context;
    this.#settings = settings;
    this.#shown = shown;
    this.#canvas.className = "sightline-overlay";
    this.#canvas.ariaHidden = "true";
    this.#canvas.style.cssText = "position:absolute;pointer-events:none";
    // Zooming and moving to another screen change the ratio without changing the size.
    window.addEventListener("resize", this.#fit);
    this.follow(shown);
  }

  /** Lie over another element. */
  follow(shown: Shown): void {
    this.#resized.disconnect();
    this.#shown = shown;
    shown.after(this.#canvas);
    this.#resized.observe(shown);
    this.clear();
    this.#fit();
  }

  configure(settings: OverlaySettings): void {
    this.#settings = settings;
    this.#draw();
  }

  /** Draw boxes, on the frame they were found in if it is given, which is closed. */
  show(drawing: Drawing, picture: VideoFrame | null = null): void {
    picture?.close();
    this.#drawing = drawing;
    this.#draw();
  }

  /** Leave the element as it is. */
  clear(): void {
    this.#drawing = null;
    this.#draw();
  }

  /** Remove it from the page. */
  close(): void {
    this.#resized.disconnect();
    window.removeEventListener("resize", this.#fit);
    this.#canvas.remove();
  }

  readonly #fit = (): void => {
    const { offsetLeft, offsetTop, clientWidth, clientHeight } = this.#shown;
    const ratio = window.devicePixelRatio;
    this.#width = clientWidth;
    this.#height = clientHeight;
    const { style } = this.#canvas;
    style.left = `${offsetLeft}px`;
    style.top = `${offsetTop}px`;
    style.width = `${clientWidth}px`;
    style.height = `${clientHeight}px`;
    this.#canvas.width = Math.round(clientWidth * ratio);
    this.#canvas.height = Math.round(clientHeight * ratio);
    this.#context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.#draw();
  };

  #draw(): void {
    const drawing = this.#drawing;
    this.#context.clearRect(0, 0, this.#width, this.#height);
    if (drawing === null) return;
    const target = containedRect(this.#width, this.#height, drawing.width, drawing.height);
    const detections = this.#settings.mirror
      ? drawing.detections.map((found) => mirrored(found, drawing.width))
      : drawing.detections;
    drawDetections(this.#context, { ...drawing, detections }, target);
  }
}

/** The detection in the mirror image of a picture of this width. */
export function mirrored(found: Detection, width: number): Detection {
  const [x1, y1, x2, y2] = found.boxXyxy;
  return { ...found, boxXyxy: [width - x2, y1, width - x1, y2] };
}
