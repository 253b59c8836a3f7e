/** What an overlay shows, on a canvas of any kind: a frame, boxes, lines and zones. */
import { classColor, textColor } from "../colors";
import type { Detection } from "../device/detector";
import type { Rect } from "./fit";
import { type LabelPlace, placeLabels } from "./labels";

/** In parts of the picture's width and height, 0..1. */
export type Point = readonly [x: number, y: number];

/** A line across which objects are counted. */
export interface LineMark {
  readonly name: string;
  readonly from: Point;
  readonly to: Point;
  /** What has been counted, in words. */
  readonly count?: string;
}

/** A zone in which objects are counted. */
export interface ZoneMark {
  readonly name: string;
  readonly points: readonly Point[];
  readonly count?: string;
}

/** One colour for all boxes, with plain text within: as pages know it that have their own looks. */
export interface PlainLook {
  readonly color: string;
  readonly lineWidth: number;
  readonly fontFamily: string;
  readonly fontSize: number;
}

/** Detections in pixels of a width x height picture. */
export interface Drawing {
  readonly detections: readonly Detection[];
  readonly width: number;
  readonly height: number;
  readonly lines?: readonly LineMark[];
  readonly zones?: readonly ZoneMark[];
  /** By default boxes have the colours of their classes. */
  readonly look?: PlainLook | undefined;
}

/** A drawing and its place on a canvas of `width` x `height` CSS pixels. */
export interface Scene {
  readonly drawing: Drawing;
  /** Where the picture lies, and what of it is seen. */
  readonly target: Rect;
  readonly clip: Rect;
  /** Whether the canvas is shown mirrored: labels are turned, to be read all the same. */
  readonly isMirrored: boolean;
  readonly width: number;
  readonly height: number;
}

export type Context = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;

const FONT_FAMILY = 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
const CORNER = 5;
/** Below this many CSS pixels of picture, as on a phone, labels are small. */
const SMALL_PICTURE = 480;
const DARK = "rgb(0 0 0 / 45%)";

/** Paint the whole canvas anew: the picture, if there is one, and over it what was found in it. */
export function paintScene(
  context: Context,
  scene: Scene | null,
  picture: CanvasImageSource | null,
): void {
  const { canvas } = context;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (scene === null) return;
  const { target, clip } = scene;
  context.scale(canvas.width / scene.width, canvas.height / scene.height);
  context.save();
  context.beginPath();
  context.rect(clip.x, clip.y, clip.width, clip.height);
  context.clip();
  if (picture !== null) {
    context.drawImage(picture, target.x, target.y, target.width, target.height);
  }
  drawDetections(context, scene.drawing, target, scene);
  context.restore();
}

/** Draws in CSS pixels: the context is already scaled by the device pixel ratio. */
export function drawDetections(
  context: Context,
  drawing: Drawing,
  target: Rect,
  { clip = target, isMirrored = false }: Partial<Pick<Scene, "clip" | "isMirrored">> = {},
): void {
  const [across, down] = [target.width / drawing.width, target.height / drawing.height];
  const seen = intersect(target, clip);
  context.save();
  context.beginPath();
  context.rect(seen.x, seen.y, seen.width, seen.height);
  context.clip();
  context.textBaseline = "middle";
  context.lineJoin = "round";
  const pen: Pen = { context, seen, isMirrored, fontSize: seen.width < SMALL_PICTURE ? 11 : 13 };
  const counts = [
    ...(drawing.zones ?? []).map((zone) => drawZone(pen, zone, target)),
    ...(drawing.lines ?? []).map((line) => drawLine(pen, line, target)),
  ];
  const placed = drawing.detections.map((found) => {
    const [x1, y1, x2, y2] = found.boxXyxy;
    const box = {
      x: target.x + x1 * across,
      y: target.y + y1 * down,
      width: Math.max(1, (x2 - x1) * across),
      height: Math.max(1, (y2 - y1) * down),
    };
    return { found, box };
  });
  // The best last, so that it lies on top; labels after all boxes, so that no line crosses them.
  placed.reverse();
  const { look } = drawing;
  if (look === undefined) {
    for (const { found, box } of placed) drawBox(context, box, found.labelId);
    drawLabels(pen, placed, counts);
  } else {
    for (const { found, box } of placed) drawPlainly(pen, box, found, look);
  }
  for (const count of counts) drawCount(pen, count);
  context.restore();
}

function drawPlainly(
  { context, isMirrored }: Pen,
  box: Rect,
  { label, score }: Detection,
  { color, lineWidth, fontFamily, fontSize }: PlainLook,
): void {
  context.lineWidth = lineWidth;
  context.strokeStyle = color;
  context.strokeRect(box.x, box.y, box.width, box.height);
  context.save();
  context.translate(box.x + (isMirrored ? box.width : 0), box.y);
  if (isMirrored) context.scale(-1, 1);
  context.font = `${fontSize}px ${fontFamily}`;
  context.textBaseline = "top";
  context.fillStyle = color;
  context.fillText(`${label} - ${Math.round(score * 100)}%`, lineWidth + 1, lineWidth + 1);
  context.restore();
}

interface Pen {
  readonly context: Context;
  /** The part of the picture that is seen: labels stay within. */
  readonly seen: Rect;
  readonly isMirrored: boolean;
  readonly fontSize: number;
}

function drawBox(context: Context, box: Rect, labelId: number): void {
  const [red, green, blue] = classColor(labelId);
  context.beginPath();
  context.roundRect(box.x, box.y, box.width, box.height, CORNER);
  // A dark line beneath keeps the box visible on a picture of the same colour.
  context.lineWidth = 4.5;
  context.strokeStyle = DARK;
  context.stroke();
  context.lineWidth = 2.5;
  context.strokeStyle = `rgb(${red} ${green} ${blue})`;
  context.stroke();
}

/** As a label reads: "person #3 87 %". */
export function labelText(found: Detection): string {
  return `${nameText(found)} ${Math.round(found.score * 100)} %`;
}

function nameText({ label, id }: Detection): string {
  return id === undefined ? label : `${label} #${id}`;
}

/** Of boxes in drawing order, the best last: it has the first choice of a place. */
function drawLabels(
  pen: Pen,
  boxes: readonly { readonly found: Detection; readonly box: Rect }[],
  taken: readonly Rect[],
): void {
  const labels = boxes.map(({ found, box }) => {
    const tag = measureTag(pen, labelText(found));
    const short = measureTag(pen, nameText(found));
    return { found, box, tag, short };
  });
  const wishes = labels.map(({ box, tag, short }) => ({
    box,
    width: tag.width,
    shortWidth: short.width,
    height: tag.height,
  }));
  const places = placeLabels(wishes.reverse(), pen.seen, { isMirrored: pen.isMirrored, taken });
  labels.forEach(({ found, tag, short }, index) => {
    const place = places[places.length - 1 - index];
    if (place !== undefined) drawLabel(pen, place.isShort ? short : tag, place, found.labelId);
  });
}

function drawLabel(pen: Pen, tag: Tag, place: LabelPlace, labelId: number): void {
  const color = classColor(labelId);
  const corners = place.isAbove ? [CORNER, CORNER, CORNER, 0] : CORNER;
  drawTag(pen, tag, place, corners, `rgb(${color.join(" ")})`, textColor(color));
}

interface Tag {
  readonly text: string;
  readonly width: number;
  readonly height: number;
}

function measureTag({ context, fontSize }: Pen, text: string): Tag {
  context.font = `600 ${fontSize}px ${FONT_FAMILY}`;
  return { text, width: context.measureText(text).width + fontSize, height: fontSize + 9 };
}

function drawTag(
  { context, isMirrored, fontSize }: Pen,
  { text, width, height }: Tag,
  at: { readonly x: number; readonly y: number },
  corners: number | number[],
  fill: string,
  color: string,
): void {
  context.save();
  context.translate(at.x + (isMirrored ? width : 0), at.y);
  if (isMirrored) context.scale(-1, 1);
  context.beginPath();
  context.roundRect(0, 0, width, height, corners);
  context.fillStyle = fill;
  context.fill();
  context.fillStyle = color;
  context.fillText(text, fontSize / 2, height / 2 + 0.5);
  context.restore();
}

function drawLine(pen: Pen, line: LineMark, target: Rect): Count {
  const [from, to] = [place(line.from, target), place(line.to, target)];
  pen.context.beginPath();
  pen.context.moveTo(...from);
  pen.context.lineTo(...to);
  strokeLightly(pen.context);
  return measureCount(pen, line, [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2]);
}

function drawZone(pen: Pen, zone: ZoneMark, target: Rect): Count {
  const { context } = pen;
  const points = zone.points.map((point) => place(point, target));
  context.beginPath();
  for (const [x, y] of points) context.lineTo(x, y);
  context.closePath();
  context.fillStyle = "rgb(255 255 255 / 10%)";
  context.fill();
  strokeLightly(context);
  const sum = points.reduce(([x, y], [px, py]) => [x + px, y + py] as const, [0, 0] as const);
  return measureCount(pen, zone, [sum[0] / points.length, sum[1] / points.length]);
}

function strokeLightly(context: Context): void {
  context.lineWidth = 3.5;
  context.strokeStyle = DARK;
  context.stroke();
  context.setLineDash([8, 5]);
  context.lineWidth = 1.5;
  context.strokeStyle = "rgb(255 255 255 / 90%)";
  context.stroke();
  context.setLineDash([]);
}

/** A name and what has been counted, and where it is to stand. */
type Count = Tag & Rect;

function measureCount(pen: Pen, { name, count }: LineMark | ZoneMark, [x, y]: Point): Count {
  const tag = measureTag(pen, count === undefined ? name : `${name} ${count}`);
  return { ...tag, x: x - tag.width / 2, y: y - tag.height / 2 };
}

function drawCount(pen: Pen, count: Count): void {
  drawTag(pen, count, count, count.height / 2, "rgb(0 0 0 / 62%)", "#fff");
}

function place([x, y]: Point, target: Rect): Point {
  return [target.x + x * target.width, target.y + y * target.height];
}

export function intersect(a: Rect, b: Rect): Rect {
  const [x, y] = [Math.max(a.x, b.x), Math.max(a.y, b.y)];
  return {
    x,
    y,
    width: Math.max(0, Math.min(a.x + a.width, b.x + b.width) - x),
    height: Math.max(0, Math.min(a.y + a.height, b.y + b.height) - y),
  };
}
