/** How many threads the graph runs on: one, unless more are possible and measured to be faster. */
import type { Model } from "../model/load";
import { EngineWorker } from "./engineworker";

/** Runs that decide: the least of them, as noise only adds. */
const MEASURED_RUNS = 3;

/** Half the cores, up to 4; 1 where the page is not cross-origin isolated. */
export function maxThreads(
  isIsolated: boolean = globalThis.crossOriginIsolated === true,
  cores: number = globalThis.navigator?.hardwareConcurrency ?? 1,
): number {
  // Live, the page, the camera and the compositor need the other half: with all cores at work the
  // frame rate fell although a single run got faster.
  return isIsolated ? Math.max(1, Math.min(4, Math.floor(cores / 2))) : 1;
}

/** A worker on wasm with the model open on one thread, or on `most` where that is faster. */
export async function chooseThreads(
  model: Model,
  most: number,
  signal?: AbortSignal,
): Promise<EngineWorker> {
  const single = await openWasm(model, 1, signal);
  if (most === 1) return single;
  let several: EngineWorker | null = null;
  try {
    several = await openWasm(model, most, signal);
    const isFaster = (await leastMs(several)) < (await leastMs(single));
    (isFaster ? single : several).end();
    return isFaster ? several : single;
  } catch (error) {
    several?.end();
    if (!signal?.aborted) return single; // threads may fail: one works
    single.end();
    throw error;
  }
}

export async function openWasm(
  model: Model,
  threads: number,
  signal?: AbortSignal,
): Promise<EngineWorker> {
  const { runtime } = model.manifest;
  return await EngineWorker.open(model, { name: "wasm", threads, runtime }, signal);
}

async function leastMs(worker: EngineWorker): Promise<number> {
  return Math.min(...(await worker.measure(MEASURED_RUNS)));
}
