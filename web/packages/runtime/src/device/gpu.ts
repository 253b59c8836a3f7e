/** Whether WebGPU is worth a try without being asked for. */

/** Set in the tab's storage where there is none: asking again would warn in the console again. */
const NONE_KEY = "sightline-no-gpu";

/** The GPU in words; null where there is none, only one in software, or none to be trusted. */
export async function describeGpu(): Promise<string | null> {
  if (!("Suspending" in WebAssembly) || isApplePocket()) return null;
  try {
    const adapter = isKnownMissing() ? null : await navigator.gpu?.requestAdapter();
    if (!adapter) noteMissing();
    if (!adapter || adapter.info.isFallbackAdapter) return null;
    const { vendor, architecture, device, description } = adapter.info;
    return ["webgpu", vendor, architecture, device, description].filter(Boolean).join(" ");
  } catch {
    return null;
  }
}

function isKnownMissing(): boolean {
  try {
    return sessionStorage.getItem(NONE_KEY) !== null;
  } catch {
    return false; // storage is forbidden
  }
}

function noteMissing(): void {
  try {
    sessionStorage.setItem(NONE_KEY, "");
  } catch {
    // storage is forbidden: it is asked for again
  }
}

/** iOS and iPadOS, where WebGPU ends pages after some hundreds of runs. iPads claim to be Macs. */
function isApplePocket(): boolean {
  const { userAgent, maxTouchPoints } = navigator;
  return /iPhone|iPad|iPod/.test(userAgent) || (/Macintosh/.test(userAgent) && maxTouchPoints > 1);
}
