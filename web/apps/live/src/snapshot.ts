/** The picture on display with its boxes, saved as a PNG at its own resolution. */
import { type Drawing, drawDetections } from "@sightline/web";

export async function saveSnapshot(
  picture: HTMLVideoElement | HTMLImageElement,
  drawing: Drawing,
): Promise<void> {
  const canvas = document.createElement("canvas");
  canvas.width = drawing.width;
  canvas.height = drawing.height;
  const context = canvas.getContext("2d");
  if (context === null) return;
  context.drawImage(picture, 0, 0, drawing.width, drawing.height);
  const target = { x: 0, y: 0, width: drawing.width, height: drawing.height };
  drawDetections(context, drawing, target);
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
  if (blob === null) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `sightline-${new Date().toISOString().replace(/[:.]/g, "-")}.png`;
  link.click();
  URL.revokeObjectURL(link.href);
}
