/**
 * RGBA bytes of a frame: copied straight out of a VideoFrame where the browser converts, drawn
 * on a canvas and read back where it does not.
 */
import { FrameUnusable, firstLine } from "../errors";
import type { Frame } from "./protocol";

/** (height, width, 4) uint8; the buffer is the reader's and holds until its next read. */
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

/** Reads frames one after another, reusing its buffers. */
export class PixelReader {
  #buffer = new Uint8Array(0);
  #canvas: OffscreenCanvas | undefined;
  #convertsOnCopy: boolean | undefined;

  /** Raises FrameUnusable; leaves the frame open. */
  async read(frame: Frame): Promise<RgbaImage> {
    try {
      if (typeof VideoFrame !== "undefined" && frame instanceof VideoFrame) {
        this.#convertsOnCopy ??= await convertsOnCopy();
        if (this.#convertsOnCopy && isUpright(frame)) return await this.#copy(frame);
        return this.#draw(frame, frame.displayWidth, frame.displayHeight);
      }
      const bitmap = frame as ImageBitmap;
      return this.#draw(bitmap, bitmap.width, bitmap.height);
    } catch (error) {
      throw new FrameUnusable(`the frame's pixels cannot be read: ${firstLine(error)}`);
    }
  }

  async #copy(frame: VideoFrame): Promise<RgbaImage> {
    const { width, height } = frame.visibleRect ?? new DOMRectReadOnly();
    if (this.#buffer.length !== width * height * 4) {
      this.#buffer = new Uint8Array(width * height * 4);
    }
    await frame.copyTo(this.#buffer, { format: "RGBA", colorSpace: "srgb" });
    return { rgba: this.#buffer, width, height };
  }

  #draw(frame: Frame, width: number, height: number): RgbaImage {
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
    return { rgba: new Uint8Array(data.buffer), width, height };
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
