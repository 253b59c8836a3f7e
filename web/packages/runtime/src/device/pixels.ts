/**
 * RGBA bytes of a frame: copied straight out of a VideoFrame where the browser converts, drawn
 * on a canvas and read back where it does not.
 */
import { FrameUnusable, firstLine } from "../errors";
import type { Frame } from "./protocol";

/** (height, width, 4) uint8. */
export interface RgbaImage {
  readonly rgba: Uint8Array;
  readonly width: number;
  readonly height: number;
}

// Newer than TypeScript's DOM library: https://w3c.github.io/webcodecs/
interface OrientedVideoFrame {
  readonly rotation?: number;
  readonly flip?: boolean;
}

/** Where the pixels of an image of this size go: height * width * 4 bytes. */
export type TakeRoom = (width: number, height: number) => Uint8Array<ArrayBuffer>;

/** Reads frames one after another. */
export class PixelReader {
  #canvas: OffscreenCanvas | undefined;
  #convertsOnCopy: boolean | undefined;

  /** Raises FrameUnusable; leaves the frame open. */
  async read(frame: Frame, takeRoom: TakeRoom): Promise<RgbaImage> {
    try {
      if (typeof VideoFrame !== "undefined" && frame instanceof VideoFrame) {
        this.#convertsOnCopy ??= await convertsOnCopy();
        if (this.#convertsOnCopy && isUpright(frame)) return await this.#copy(frame, takeRoom);
        return this.#draw(frame, frame.displayWidth, frame.displayHeight, takeRoom);
      }
      const bitmap = frame as ImageBitmap;
      return this.#draw(bitmap, bitmap.width, bitmap.height, takeRoom);
    } catch (error) {
      throw new FrameUnusable(`the frame's pixels cannot be read: ${firstLine(error)}`);
    }
  }

  async #copy(frame: VideoFrame, takeRoom: TakeRoom): Promise<RgbaImage> {
    const { width, height } = frame.visibleRect ?? new DOMRectReadOnly();
    const rgba = takeRoom(width, height);
    await frame.copyTo(rgba, { format: "RGBA", colorSpace: "srgb" });
    return { rgba, width, height };
  }

  #draw(frame: Frame, width: number, height: number, takeRoom: TakeRoom): RgbaImage {
    if (this.#canvas?.width !== width || this.#canvas.height !== height) {
      this.#canvas = new OffscreenCanvas(width, height);
    }
    // Reading back every frame is far cheaper from memory than from the GPU.
    const context = this.#canvas.getContext("2d", { willReadFrequently: true });
    if (context === null) throw new Error(`no canvas of ${width} x ${height} pixels`);
    // Transparent pixels lie on white, as in Python.
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, height);
    context.drawImage(frame, 0, 0, width, height);
    const { data } = context.getImageData(0, 0, width, height);
    const rgba = takeRoom(width, height);
    rgba.set(data);
    return { rgba, width, height };
  }
}

function isUpright(frame: VideoFrame & OrientedVideoFrame): boolean {
  return (frame.rotation ?? 0) === 0 && !(frame.flip ?? false);
}

/** Whether copyTo turns other formats into RGBA: tried on one BGRA pixel. */
async function convertsOnCopy(): Promise<boolean> {
  const probe = new VideoFrame(new Uint8Array([10, 20, 30, 255]), {
    format: "BGRA",
    codedWidth: 1,
    codedHeight: 1,
    timestamp: 0,
  });
  try {
    const pixel = new Uint8Array(4);
    await probe.copyTo(pixel, { format: "RGBA", colorSpace: "srgb" });
    return pixel[0] === 30 && pixel[2] === 10;
  } catch {
    return false; // older browsers refuse the option; the canvas serves
  } finally {
    probe.close();
  }
}
