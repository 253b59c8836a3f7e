/** The button that saves the picture on display with its boxes, as a PNG at its own resolution. */
import type { Drawing, WatchResult } from "@sightline/web";
import { button } from "./elements";
import { paintPicture, saveFile } from "./paint";
import { SavingFailed } from "./problems";
import { again, type Remedy } from "./stage";

/** What can be saved. */
export interface SavedView {
  /** What was found last. */
  readonly result: WatchResult | null;
  /** The element that shows it. */
  readonly shown: HTMLVideoElement | HTMLImageElement;
}

export interface SnapshotListener {
  onProblem(error: unknown, remedy: Remedy): void;
  onNote(text: string): void;
}

export class Snapshot {
  readonly #view: SavedView;
  readonly #listener: SnapshotListener;
  /** The last frame that was looked at; none where frames cannot be kept. */
  #kept: { readonly frame: VideoFrame; readonly capturedAt: number } | null = null;

  constructor(view: SavedView, listener: SnapshotListener) {
    this.#view = view;
    this.#listener = listener;
    button("snapshot").addEventListener("click", () => this.#save());
  }

  /** Keep a frame that was looked at, until the next. */
  keep(frame: VideoFrame, { capturedAt }: WatchResult): void {
    this.#kept?.frame.close();
    this.#kept = { frame: frame.clone(), capturedAt };
  }

  /** Whether there is a picture to save; without one nothing is kept. */
  enable(isPossible: boolean): void {
    button("snapshot").disabled = !isPossible;
    if (isPossible) return;
    this.#kept?.frame.close();
    this.#kept = null;
  }

  async #save(): Promise<void> {
    const { result, shown } = this.#view;
    if (result === null) return;
    // The very frame of the boxes, where there is one: the video has gone on meanwhile.
    const kept = this.#kept?.capturedAt === result.capturedAt ? this.#kept.frame : null;
    try {
      saveFile(await paintPng(kept ?? shown, result), "png");
      this.#listener.onNote("Picture saved");
    } catch (error) {
      this.#listener.onProblem(
        error,
        again(() => this.#save()),
      );
    }
  }
}

/** Rejects with SavingFailed where the browser cannot make the picture. */
async function paintPng(picture: CanvasImageSource, drawing: Drawing): Promise<Blob> {
  const canvas = document.createElement("canvas");
  canvas.width = drawing.width;
  canvas.height = drawing.height;
  const context = canvas.getContext("2d");
  if (context !== null) paintPicture(context, picture, drawing);
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
  if (context === null || blob === null) {
    throw new SavingFailed("the browser has no memory for the picture; close other pages");
  }
  return blob;
}
