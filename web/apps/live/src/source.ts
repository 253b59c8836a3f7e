/** What is being watched: a camera, a video file, the sample clip, or a still photo. */
import { type Frame, firstLine } from "@sightline/web";
import { openCamera } from "./camera";
import { CameraUnplugged, type PageError, PhotoUnusable, VideoUnplayable } from "./problems";

export type SourceKind = "camera" | "file" | "sample" | "photo";

export interface Source {
  readonly kind: SourceKind;
  /** A new frame of a still photo, as often as asked; null for what plays. */
  readonly takePhoto: (() => Promise<Frame>) | null;
  /** Give back the camera and the memory; the elements are left empty. */
  close(): void;
}

/** Where Sightline stops everywhere: more pixels are refused (DESIGN: 25 megapixels). */
const MAX_PIXELS = 25_000_000;

/** A camera's pictures in `video`. `onEnded` when it goes away while running. */
export async function startCamera(
  video: HTMLVideoElement,
  deviceId: string | null,
  onEnded: (error: PageError) => void,
): Promise<Source> {
  const stream = await openCamera(deviceId);
  const tracks = stream.getVideoTracks();
  for (const track of tracks) {
    track.addEventListener("ended", () => {
      onEnded(new CameraUnplugged("connect it again and try again, or choose another source"));
    });
  }
  video.srcObject = stream;
  await play(video, "the camera's picture");
  return {
    kind: "camera",
    takePhoto: null,
    close: () => {
      for (const track of tracks) track.stop();
      video.srcObject = null;
    },
  };
}

/** A video by its URL, over and over. */
export async function startVideo(
  video: HTMLVideoElement,
  url: string,
  kind: "file" | "sample",
  name: string,
): Promise<Source> {
  const close = () => {
    video.pause();
    video.removeAttribute("src");
    video.load();
    if (url.startsWith("blob:")) URL.revokeObjectURL(url);
  };
  video.src = url;
  try {
    await play(video, name);
  } catch (error) {
    close();
    throw error;
  }
  return { kind, takePhoto: null, close };
}

/** A photo shown in `image`. Raises PhotoUnusable. */
export async function showPhoto(image: HTMLImageElement, file: File): Promise<Source> {
  const takePhoto = async (): Promise<ImageBitmap> => {
    try {
      // Upright, and the pixels as stored, as Python reads them: no colour profile applied.
      return await createImageBitmap(file, {
        imageOrientation: "from-image",
        colorSpaceConversion: "none",
        premultiplyAlpha: "none",
      });
    } catch {
      throw new PhotoUnusable(
        `${file.name} is damaged, or of a kind that this browser cannot show`,
      );
    }
  };
  const probe = await takePhoto();
  const pixels = probe.width * probe.height;
  probe.close();
  if (pixels > MAX_PIXELS) {
    throw new PhotoUnusable(
      `${file.name} has ${(pixels / 1e6).toFixed(1)} megapixels, at most 25 are taken; ` +
        "make it smaller first",
    );
  }
  const url = URL.createObjectURL(file);
  image.src = url;
  await image.decode();
  return {
    kind: "photo",
    takePhoto,
    close: () => {
      image.removeAttribute("src");
      URL.revokeObjectURL(url);
    },
  };
}

async function play(video: HTMLVideoElement, name: string): Promise<void> {
  try {
    await video.play();
  } catch (error) {
    const detail = video.error?.message || firstLine(error);
    throw new VideoUnplayable(`${name}: ${detail}`);
  }
}
