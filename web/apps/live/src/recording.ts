/** The button that records: a clip of the pictures on display, with a clock and its file. */
import type { Drawing } from "@sightline/web";
import { button, element, setText } from "./elements";
import { saveFile } from "./paint";
import { RecordingUnsupported } from "./problems";
import { ClipRecorder, formatTime } from "./recorder";
import { again, type Remedy } from "./stage";

/** What a clip is made of. */
export interface RecordedView {
  readonly video: HTMLVideoElement;
  /** What was found last. */
  readonly result: Drawing | null;
  /** Whether pictures come with what was found in them; else boxes go on the video as it plays. */
  readonly hasPictures: boolean;
}

export interface RecordingListener {
  onProblem(error: unknown, remedy: Remedy): void;
  /** Something to be told, now and for a moment. */
  onNote(text: string): void;
}

const CLOCK_EVERY_MS = 250;

export class Recording {
  readonly #view: RecordedView;
  readonly #listener: RecordingListener;
  #recorder: ClipRecorder | null = null;
  #clock: ReturnType<typeof setInterval> | undefined;

  constructor(view: RecordedView, listener: RecordingListener) {
    this.#view = view;
    this.#listener = listener;
    button("record").addEventListener("click", () => this.toggle());
  }

  get isOn(): boolean {
    return this.#recorder !== null;
  }

  toggle(): void {
    if (this.#recorder !== null) this.stop();
    else if (!button("record").disabled) this.#start();
  }

  /** Whether there is something to record. */
  enable(isPossible: boolean): void {
    if (!isPossible) this.stop();
    button("record").disabled = !isPossible;
  }

  /** What was found in this picture. */
  addPicture(picture: CanvasImageSource, drawing: Drawing): void {
    if (this.#view.hasPictures) this.#recorder?.paint(picture, drawing);
  }

  /** End the clip and save it. */
  stop(): void {
    this.#recorder?.stop();
    this.#show(null);
  }

  #start(): void {
    const { video } = this.#view;
    try {
      const recorder = new ClipRecorder(video.videoWidth, video.videoHeight, {
        onClip: ({ blob, extension, isFull }) => {
          if (this.#recorder === recorder) this.#show(null);
          saveFile(blob, extension);
          const size = `${(blob.size / 1e6).toFixed(1)} MB`;
          this.#listener.onNote(
            isFull ? `Clip saved (${size}): longer ones do not fit` : `Clip saved (${size})`,
          );
        },
        onError: (error) => {
          if (this.#recorder === recorder) this.#show(null);
          this.#fail(error);
        },
      });
      this.#show(recorder);
      recorder.paint(video, this.#view.result);
      this.#followVideo(recorder);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Paint every frame of the video where pictures do not come by themselves. */
  #followVideo(recorder: ClipRecorder): void {
    const { video } = this.#view;
    video.requestVideoFrameCallback(() => {
      if (this.#recorder !== recorder) return;
      if (!this.#view.hasPictures) recorder.paint(video, this.#view.result);
      this.#followVideo(recorder);
    });
  }

  #show(recorder: ClipRecorder | null): void {
    this.#recorder = recorder;
    const isOn = recorder !== null;
    const record = button("record");
    record.ariaPressed = String(isOn);
    record.ariaLabel = isOn ? "Stop recording and save the clip" : "Record a clip";
    element("recording", HTMLParagraphElement).hidden = !isOn;
    clearInterval(this.#clock);
    if (recorder === null) return;
    const tick = () => {
      const text = formatTime(performance.now() - recorder.startedAt);
      setText(element("recording-time", HTMLSpanElement), text);
    };
    tick();
    this.#clock = setInterval(tick, CLOCK_EVERY_MS);
  }

  #fail(error: unknown): void {
    const remedy = again(() => this.toggle());
    const isHopeless = error instanceof RecordingUnsupported;
    this.#listener.onProblem(error, isHopeless ? { label: "Close", act: () => undefined } : remedy);
  }
}
