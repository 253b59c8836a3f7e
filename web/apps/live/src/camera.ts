/** The device's cameras: opened, listed, and their failures told apart. */
import { firstLine } from "@sightline/web";
import {
  CameraDenied,
  CameraInsecure,
  CameraMissing,
  CameraUnavailable,
  type PageError,
} from "./problems";

export interface Camera {
  readonly deviceId: string;
  readonly label: string;
}

/** The chosen camera, else the one that looks away from the user. Raises a PageError. */
export async function openCamera(deviceId: string | null): Promise<MediaStream> {
  if (navigator.mediaDevices?.getUserMedia === undefined) {
    throw new CameraInsecure(
      "browsers give the camera only to pages over HTTPS or on localhost; open this page there, " +
        "or choose a photo or video",
    );
  }
  const choice: MediaTrackConstraints =
    deviceId === null
      ? { facingMode: { ideal: "environment" } }
      : { deviceId: { exact: deviceId } };
  try {
    return await navigator.mediaDevices.getUserMedia({
      video: { ...choice, width: { ideal: 1280 }, height: { ideal: 720 } },
      audio: false,
    });
  } catch (error) {
    throw cameraProblem(error);
  }
}

/** Those with a name, which browsers give only after permission. */
export async function listCameras(): Promise<readonly Camera[]> {
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices
    .filter((device) => device.kind === "videoinput" && device.deviceId !== "")
    .map(({ deviceId, label }, index) => ({ deviceId, label: label || `Camera ${index + 1}` }));
}

/** What getUserMedia's rejection means (Media Capture and Streams, section 10.2). */
export function cameraProblem(error: unknown): PageError {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") {
    return new CameraDenied(
      "allow it in the browser's address bar or settings and try again, or choose a photo or video",
    );
  }
  if (name === "NotFoundError" || name === "OverconstrainedError") {
    return new CameraMissing("connect one and try again, or choose a photo or video");
  }
  if (name === "NotReadableError" || name === "AbortError") {
    return new CameraUnavailable("close other programs and pages that use it, then try again");
  }
  return new CameraUnavailable(`the browser says: ${firstLine(error)}`);
}
