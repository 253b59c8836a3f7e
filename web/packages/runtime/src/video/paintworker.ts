/** The painter's worker: frames and boxes onto the canvases of the page's overlays. */
import { paintScene } from "./paint";
import type { PaintAnswer, PaintRequest } from "./surface";

interface Painted {
  readonly context: OffscreenCanvasRenderingContext2D;
  /** Kept for when the boxes or the size change. */
  picture: VideoFrame | null;
}

const overlays = new Map<number, Painted>();

self.onmessage = ({ data }: MessageEvent<PaintRequest>) => {
  if (data.kind === "open") {
    const context = data.canvas.getContext("2d");
    if (context === null) throw new Error("this browser gives no 2D canvas to workers");
    overlays.set(data.id, { context, picture: null });
    return;
  }
  const overlay = overlays.get(data.id);
  if (data.kind === "close") {
    overlay?.picture?.close();
    overlays.delete(data.id);
  } else if (overlay === undefined) {
    data.picture?.close();
  } else {
    paint(overlay, data);
  }
};

function paint(overlay: Painted, request: Extract<PaintRequest, { kind: "paint" }>): void {
  const { id, number, scene, size, picture } = request;
  const { canvas } = overlay.context;
  if (picture !== undefined || scene === null) {
    overlay.picture?.close();
    overlay.picture = picture ?? null;
  }
  if (canvas.width !== size.width) canvas.width = size.width;
  if (canvas.height !== size.height) canvas.height = size.height;
  paintScene(overlay.context, scene, overlay.picture);
  const answer: PaintAnswer = { id, number };
  // What was painted is on its way to the screen when the next frame begins.
  self.requestAnimationFrame(() => self.postMessage(answer));
}
