/** A clip of what is on display, with its boxes in the picture, made and kept on this device. */
import type { Drawing } from "@sightline/web";
import { paintPicture } from "./paint";
import { RecordingFailed, RecordingUnsupported } from "./problems";

/** In the order of preference: what plays in most places first. */
const TYPES = [
  "video/mp4;codecs=avc1",
  "video/webm;codecs=vp9",
  "video/webm;codecs=vp8",
  "video/webm",
];
/** The longer side of a clip; larger pictures are made smaller. */
const MOST_PIXELS = 1280;
const BITS_PER_SECOND = 4_000_000;
/** The clip lies in memory until it is saved: some eight minutes. */
const MOST_BYTES = 256e6;
const PART_EVERY_MS = 1000;

export interface Clip {
  readonly blob: Blob;
  readonly extension: string;
  /** Whether it ended because no more is kept. */
  readonly isFull: boolean;
}

export interface RecorderListener {
  onClip(clip: Clip): void;
  onError(error: RecordingFailed): void;
}

/** What this browser records; null where it cannot. */
function recordedType(): string | null {
  if (typeof MediaRecorder === "undefined") return null;
  if (!("captureStream" in HTMLCanvasElement.prototype)) return null;
  return TYPES.find((type) => MediaRecorder.isTypeSupported(type)) ?? null;
}

/** One clip from now on, of pictures of this size. Raises RecordingUnsupported, RecordingFailed. */
export class ClipRecorder {
  readonly startedAt = performance.now();
  readonly #context: CanvasRenderingContext2D;
  readonly #recorder: MediaRecorder;
  readonly #listener: RecorderListener;
  readonly #parts: Blob[] = [];
  #bytes = 0;
  #hasFailed = false;

  constructor(width: number, height: number, listener: RecorderListener) {
    const mimeType = recordedType();
    const canvas = document.createElement("canvas");
    const size = clipSize(width, height);
    canvas.width = size.width;
    canvas.height = size.height;
    const context = canvas.getContext("2d", { alpha: false });
    if (mimeType === null || context === null) {
      throw new RecordingUnsupported(
        "this browser makes no videos of a page; a current Chrome, Edge, Firefox or Safari does",
      );
    }
    this.#context = context;
    this.#listener = listener;
    try {
      this.#recorder = new MediaRecorder(canvas.captureStream(), {
        mimeType,
        videoBitsPerSecond: BITS_PER_SECOND,
      });
      this.#recorder.ondataavailable = ({ data }) => this.#keep(data);
      this.#recorder.onstop = () => this.#finish();
      this.#recorder.onerror = () => this.#fail("the browser's encoder stopped");
      this.#recorder.start(PART_EVERY_MS);
    } catch (error) {
      throw new RecordingFailed(`the browser says: ${error}`);
    }
  }

  /** The next picture of the clip. */
  paint(picture: CanvasImageSource, drawing: Drawing | null): void {
    paintPicture(this.#context, picture, drawing);
  }

  /** End it; the clip follows. */
  stop(): void {
    if (this.#recorder.state !== "inactive") this.#recorder.stop();
  }

  #keep(part: Blob): void {
    this.#parts.push(part);
    this.#bytes += part.size;
    if (this.#bytes >= MOST_BYTES) this.stop();
  }

  #finish(): void {
    for (const track of this.#recorder.stream.getTracks()) track.stop();
    if (this.#hasFailed) return;
    if (this.#bytes === 0) {
      this.#fail("no picture came while it was made");
      return;
    }
    const type = this.#recorder.mimeType.split(";", 1)[0] ?? "";
    this.#listener.onClip({
      blob: new Blob(this.#parts, { type }),
      extension: type.endsWith("mp4") ? "mp4" : "webm",
      isFull: this.#bytes >= MOST_BYTES,
    });
  }

  #fail(reason: string): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.stop();
    this.#listener.onError(new RecordingFailed(`${reason}; try again`));
  }
}

/** The size of a clip: no side over the limit, both even, as encoders want them. */
export function clipSize(width: number, height: number): { width: number; height: number } {
  const scale = Math.min(1, MOST_PIXELS / Math.max(width, height));
  const even = (side: number) => Math.max(2, Math.round((side * scale) / 2) * 2);
  return { width: even(width), height: even(height) };
}

/** Minutes and seconds, as "1:07". */
export function formatTime(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}
