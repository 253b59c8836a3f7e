/** Boxes over a picture that a page shows, and beneath them the frame they were found in. */
import { fitRect } from "./fit";
import type { Drawing, PlainLook, Scene } from "./paint";
import { isFullscreen, placeOver, type Shown } from "./placement";
import { BoxSurface, PictureSurface, type Surface } from "./surface";

export interface OverlaySettings {
  /** Whether the picture is to be seen mirrored; labels never are. */
  readonly mirror: boolean;
}

/** Without a result for so long, and for longer than is usual here, the video is seen again. */
const STALE_MS = 1000;
const USUAL_TIMES = 3;

/**
 * Boxes over a <video> or <img> of any page, and beneath them the frame that they were found in,
 * where it is given. Keeps to the element whatever its size, place, object-fit and transform, also
 * in full screen; the page's own layout stays as it is.
 */
export class Overlay {
  readonly #resized = new ResizeObserver(() => this.#fit());
  #surface: Surface = new BoxSurface();
  /** Seen until the worker has painted. */
  #former: Surface | null = null;
  readonly #look: PlainLook | undefined;
  #settings: OverlaySettings;
  #shown: Shown;
  /** What the page had set before the element was mirrored here. */
  #formerScale: string | null = null;
  #canPicture = PictureSurface.isPossible();
  #drawing: Drawing | null = null;
  #painted = "";
  #frame = 0;
  #staleTimer: ReturnType<typeof setTimeout> | undefined;
  #shownAt = Number.NEGATIVE_INFINITY;
  #usualMs = 0;

  constructor(shown: Shown, settings: OverlaySettings, look?: PlainLook) {
    this.#look = look;
    this.#settings = settings;
    this.#shown = shown;
    document.addEventListener("fullscreenchange", this.#fit);
    this.follow(shown);
  }

  /** Lie over another element. */
  follow(shown: Shown): void {
    this.#resized.disconnect();
    this.#unmirror();
    this.clear();
    this.#shown = shown;
    if (this.#surface instanceof PictureSurface) this.#replaceSurface(new BoxSurface());
    this.#resized.observe(shown);
    this.#mirror();
    this.#fit();
  }

  configure(settings: OverlaySettings): void {
    this.#settings = settings;
    if (settings.mirror) this.#mirror();
    else this.#unmirror();
    this.#fit();
  }

  /**
   * Draw boxes, on the frame they were found in if it is given, which is taken over and closed;
   * null: on the picture as it is; undefined: on the frame on display.
   */
  show(drawing: Drawing, picture?: VideoFrame | null): void {
    if (picture !== undefined) {
      const now = performance.now();
      if (this.#drawing !== null) this.#usualMs = now - this.#shownAt;
      this.#shownAt = now;
    }
    this.#drawing = { ...drawing, look: this.#look };
    const frame = this.#canShow(picture) ? picture : null;
    if (picture && frame === null) picture.close();
    if (frame && this.#surface instanceof BoxSurface) this.#paintInWorker();
    this.#paint(true, frame);
    this.#watchOver();
  }

  /** Leave the element as it is. */
  clear(): void {
    this.#drawing = null;
    this.#dropFormer();
    clearTimeout(this.#staleTimer);
    this.#staleTimer = undefined;
    this.#paint(true, null);
  }

  /** Remove it from the page. */
  close(): void {
    this.clear();
    this.#resized.disconnect();
    document.removeEventListener("fullscreenchange", this.#fit);
    cancelAnimationFrame(this.#frame);
    this.#unmirror();
    this.#surface.close();
  }

  /** The browser's own controls would be hidden beneath the picture. */
  #canShow(picture: VideoFrame | null | undefined): boolean {
    const hasControls = this.#shown instanceof HTMLVideoElement && this.#shown.controls;
    if (hasControls || isFullscreen(this.#shown)) return false;
    return picture === undefined || (picture !== null && this.#canPicture);
  }

  /** While something is on display, keep it over the element, and see whether it is still true. */
  #watchOver(): void {
    if (this.#frame === 0) this.#frame = requestAnimationFrame(this.#follow);
    this.#staleTimer ??= setTimeout(this.#checkAge, STALE_MS);
  }

  readonly #follow = (): void => {
    this.#frame = 0;
    if (this.#drawing === null) return;
    this.#fit();
    this.#frame = requestAnimationFrame(this.#follow);
  };

  readonly #checkAge = (): void => {
    this.#staleTimer = undefined;
    const shown = this.#shown;
    const isPlaying = shown instanceof HTMLVideoElement && !shown.paused && !shown.ended;
    const allowed = Math.max(STALE_MS, USUAL_TIMES * this.#usualMs);
    const left = isPlaying ? this.#shownAt + allowed - performance.now() : STALE_MS;
    if (left <= 0) this.clear();
    else this.#staleTimer = setTimeout(this.#checkAge, left);
  };

  /** Elements move without telling: CSS, other content, zooming, another screen. */
  readonly #fit = (): void => this.#paint(false);

  /** Place the canvas, and paint on it where its size has changed or something else is shown. */
  #paint(isNew: boolean, picture?: VideoFrame | null): void {
    const { canvas } = this.#surface;
    const layout = placeOver(canvas, this.#shown);
    const drawing = this.#drawing;
    if (layout === null) {
      picture?.close();
      this.#painted = "";
      return;
    }
    const { width, height, content, isMirrored } = layout;
    const target = fitRect(
      content,
      drawing ?? { width: 0, height: 0 },
      layout.fit,
      layout.position,
    );
    const scene: Scene | null =
      drawing === null ? null : { drawing, target, clip: content, isMirrored, width, height };
    const ratio = window.devicePixelRatio;
    const size = { width: Math.round(width * ratio), height: Math.round(height * ratio) };
    const painted = JSON.stringify([layout, size]);
    if (!isNew && painted === this.#painted) return;
    this.#painted = painted;
    this.#surface.paint(scene, size, picture);
  }

  #replaceSurface(surface: Surface): void {
    this.#surface.close();
    this.#surface = surface;
  }

  #paintInWorker(): void {
    this.#paint(true, null);
    this.#former = this.#surface;
    this.#surface = new PictureSurface({
      onShown: () => this.#dropFormer(),
      onFailure: () => this.#doWithoutPictures(),
    });
  }

  #dropFormer(): void {
    this.#former?.close();
    this.#former = null;
  }

  #doWithoutPictures(): void {
    this.#dropFormer();
    this.#canPicture = false;
    if (this.#surface instanceof BoxSurface) return;
    this.#replaceSurface(new BoxSurface());
    this.#paint(true, null);
  }

  /** Mirrors the element, unless the page has done so. */
  #mirror(): void {
    const { style } = this.#shown;
    const isMirrored = placeOver(this.#surface.canvas, this.#shown)?.isMirrored ?? false;
    if (!this.#settings.mirror || isMirrored || this.#formerScale !== null) return;
    this.#formerScale = style.scale;
    style.scale = "-1 1";
  }

  #unmirror(): void {
    if (this.#formerScale === null) return;
    this.#shown.style.scale = this.#formerScale;
    this.#formerScale = null;
  }
}
