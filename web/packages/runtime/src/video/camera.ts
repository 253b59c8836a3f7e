/** The device's cameras: opened, listed, and their failures told apart. */
import {
  CameraDenied,
  type CameraError,
  CameraInsecure,
  CameraMissing,
  CameraUnavailable,
  firstLine,
} from "../errors";

export interface Camera {
  readonly deviceId: string;
  readonly label: string;
}

/**
 * A camera by its deviceId, or "user" for the one that looks at the user; by default the one that
 * looks away. Raises a CameraError.
 */
export async function openCamera(camera: string | null): Promise<MediaStream> {
  if (navigator.mediaDevices?.getUserMedia === undefined) {
    throw new CameraInsecure(
      "browsers give the camera only to pages over HTTPS or on localhost; open this page there",
    );
  }
  try {
    return await navigator.mediaDevices.getUserMedia({
      video: { ...constraintFor(camera), width: { ideal: 1280 }, height: { ideal: 720 } },
      audio: false,
    });
  } catch (error) {
    throw cameraProblem(error);
  }
}

function constraintFor(camera: string | null): MediaTrackConstraints {
  if (camera === "user") return { facingMode: { ideal: "user" } };
  const isChosen = camera !== null && camera !== "" && camera !== "environment";
  return isChosen ? { deviceId: { exact: camera } } : { facingMode: { ideal: "environment" } };
}

/** Those with a name, which browsers give only after permission. */
export async function listCameras(): Promise<readonly Camera[]> {
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices
    .filter((device) => device.kind === "videoinput" && device.deviceId !== "")
    .map(({ deviceId, label }, index) => ({ deviceId, label: label || `Camera ${index + 1}` }));
}

/** What getUserMedia's rejection means (Media Capture and Streams, section 10.2). */
export function cameraProblem(error: unknown): CameraError {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") {
    return new CameraDenied("allow it in the browser's address bar or settings and try again");
  }
  if (name === "NotFoundError" || name === "OverconstrainedError") {
    return new CameraMissing("connect one and try again");
  }
  if (name === "NotReadableError" || name === "AbortError") {
    return new CameraUnavailable("close other programs and pages that use it, then try again");
  }
  return new CameraUnavailable(`the browser says: ${firstLine(error)}`);
}
