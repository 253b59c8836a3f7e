/** Which way cameras look: browsers tell it of phones', by capability or by name. */

export type Facing = "user" | "environment";

/** Which way the camera of a running track looks; null where the browser does not tell. */
export function facingOfTrack(track: MediaStreamTrack): Facing | null {
  return readFacing(track.getSettings().facingMode) ?? facingByName(track.label);
}

/** Whether there are cameras that look both ways, to turn over between. */
export async function hasBothFacings(): Promise<boolean> {
  const devices = await navigator.mediaDevices.enumerateDevices();
  const facings = devices.filter(({ kind }) => kind === "videoinput").map(facingOfDevice);
  return facings.includes("user") && facings.includes("environment");
}

function facingOfDevice(device: MediaDeviceInfo): Facing | null {
  const told =
    "getCapabilities" in device
      ? (device as InputDeviceInfo).getCapabilities().facingMode?.[0]
      : undefined; // Firefox
  return readFacing(told) ?? facingByName(device.label);
}

function readFacing(mode: string | undefined): Facing | null {
  return mode === "user" || mode === "environment" ? mode : null;
}

/** By the names that Android, iOS and Windows give their cameras in English. */
export function facingByName(label: string): Facing | null {
  if (/\b(front|facetime|selfie|user)\b/i.test(label)) return "user";
  return /\b(back|rear|environment)\b/i.test(label) ? "environment" : null;
}
