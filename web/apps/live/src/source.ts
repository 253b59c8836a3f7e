/** What is being watched: a camera, a video file, the sample clip, or a still photo. */
import {
  CameraUnplugged,
  type Frame,
  firstLine,
  openCamera,
  VideoUnplayable,
} from "@sightline/web";
import { PhotoUnusable } from "./problems";

export type SourceKind = "camera" | "file" | "sample" | "photo";

export interface Source {
  readonly kind: SourceKind;
  /** A new frame of a still photo, as often as asked; null for what plays. */
  readonly takePhoto: (() => Promise<Frame>) | null;
  /** The track of the camera, if it is one. */
  readonly camera: MediaStreamTrack | null;
  /** Give back the camera and the memory; the elements are left empty. */
  close(): void;
}

/** Where Sightline stops everywhere: sightline.data.images.MAX_PIXELS. */
const MAX_MEGAPIXELS = 25;

/** A camera's pictures in `video`, by openCamera's name. `onEnded` when it goes away. */
export async function startCamera(
  video: HTMLVideoElement,
  wanted: string | null,
  onEnded: (error: CameraUnplugged) => void,
): Promise<Source> {
  const stream = await openCamera(wanted);
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
    camera: tracks[0] ?? null,
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
  return { kind, takePhoto: null, camera: null, close };
}

/** A photo shown in `image`. Raises PhotoUnusable. */
export async function showPhoto(image: HTMLImageElement, file: File): Promise<Source> {
  const url = URL.createObjectURL(file);
  const close = () => {
    image.removeAttribute("src");
    URL.revokeObjectURL(url);
  };
  try {
    await checkSize(url, file.name);
    const takePhoto = () => decodePhoto(file);
    (await takePhoto()).close();
    image.src = url;
    await image.decode();
    return { kind: "photo", takePhoto, camera: null, close };
  } catch (error) {
    close();
    throw error instanceof PhotoUnusable ? error : damaged(file.name);
  }
}

/** Refuses by the header, before any pixel is decoded. */
async function checkSize(url: string, name: string): Promise<void> {
  const probe = new Image();
  await new Promise<void>((resolve, reject) => {
    probe.onload = () => resolve();
    probe.onerror = () => reject(damaged(name));
    probe.src = url;
  });
  const megapixels = (probe.naturalWidth * probe.naturalHeight) / 1e6;
  if (megapixels > MAX_MEGAPIXELS) {
    throw new PhotoUnusable(
      `${name} has ${megapixels.toFixed(1)} megapixels, at most ${MAX_MEGAPIXELS} are taken; ` +
        "make it smaller first",
    );
  }
}

async function decodePhoto(file: File): Promise<ImageBitmap> {
  try {
    // Upright, and the pixels as stored, as Python reads them: no colour profile applied.
    return await createImageBitmap(file, {
      imageOrientation: "from-image",
      colorSpaceConversion: "none",
      premultiplyAlpha: "none",
    });
  } catch {
    throw damaged(file.name);
  }
}

function damaged(name: string): PhotoUnusable {
  return new PhotoUnusable(`${name} is damaged, or of a kind that this browser cannot show`);
}

async function play(video: HTMLVideoElement, name: string): Promise<void> {
  try {
    await video.play();
  } catch (error) {
    throw new VideoUnplayable(
      video.error === null
        ? `${name}: ${firstLine(error)}`
        : `${name} is damaged, or of a kind that this browser cannot play`,
    );
  }
}
