/** Whether WebGPU is worth a try without being asked for. */

/** The GPU in words; null where there is none, only one in software, or none to be trusted. */
export async function describeGpu(): Promise<string | null> {
  if (!("Suspending" in WebAssembly) || isApplePocket()) return null;
  try {
    const adapter = await navigator.gpu?.requestAdapter();
    if (!adapter || adapter.info.isFallbackAdapter) return null;
    const { vendor, architecture, device, description } = adapter.info;
    return ["webgpu", vendor, architecture, device, description].filter(Boolean).join(" ");
  } catch {
    return null;
  }
}

/** iOS and iPadOS, where WebGPU ends pages after some hundreds of runs. iPads claim to be Macs. */
function isApplePocket(): boolean {
  const { userAgent, maxTouchPoints } = navigator;
  return /iPhone|iPad|iPod/.test(userAgent) || (/Macintosh/.test(userAgent) && maxTouchPoints > 1);
}
