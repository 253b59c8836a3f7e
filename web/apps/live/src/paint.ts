/** A picture with its boxes on a canvas, for what is saved. */
import { type Drawing, drawDetections } from "@sightline/web";

/** Boxes and labels are drawn as on a picture of this width, whatever the picture's own. */
const DRAWN_WIDTH = 960;

/** Fill the canvas with the picture and draw the boxes over it. */
export function paintPicture(
  context: CanvasRenderingContext2D,
  picture: CanvasImageSource,
  drawing: Drawing | null,
): void {
  const { width, height } = context.canvas;
  context.drawImage(picture, 0, 0, width, height);
  if (drawing === null) return;
  const scale = Math.max(1, Math.max(width, height) / DRAWN_WIDTH);
  context.save();
  context.scale(scale, scale);
  drawDetections(context, drawing, { x: 0, y: 0, width: width / scale, height: height / scale });
  context.restore();
}

/** Have the browser save a file; it stays on this device. */
export function saveFile(blob: Blob, extension: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `sightline-${new Date().toISOString().replace(/[:.]/g, "-")}.${extension}`;
  link.click();
  // The download has begun by then; Safari reads the address only after the click.
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
