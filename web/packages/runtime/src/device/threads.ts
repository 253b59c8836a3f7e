/** How many threads the graph runs on: one, unless more are possible and measured to be faster. */
import type { Manifest } from "../model/manifest";
import { WorkerLink } from "./workerlink";

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

/** A worker with the model open on one thread, or on `most` where that is faster. */
export async function chooseThreads(
  manifest: Manifest,
  graph: Uint8Array<ArrayBuffer>,
  most: number,
  signal?: AbortSignal,
): Promise<{ link: WorkerLink; threads: number }> {
  const single = await openWorker(manifest, graph, 1, signal);
  if (most === 1) return { link: single, threads: 1 };
  const singleMs = await leastMs(single);
  let several: WorkerLink;
  try {
    several = await openWorker(manifest, graph, most, signal);
  } catch (error) {
    if (!signal?.aborted) return { link: single, threads: 1 }; // threads may fail: one works
    single.end();
    throw error;
  }
  const isFaster = (await leastMs(several)) < singleMs;
  (isFaster ? single : several).end();
  return isFaster ? { link: several, threads: most } : { link: single, threads: 1 };
}

/** A worker with the model open; the bytes are copied, not taken. */
export async function openWorker(
  manifest: Manifest,
  graph: Uint8Array<ArrayBuffer>,
  threads: number,
  signal?: AbortSignal,
): Promise<WorkerLink> {
  signal?.throwIfAborted();
  const link = new WorkerLink();
  try {
    await link.ask("opened", { kind: "open", manifest, graph: graph.slice().buffer, threads });
    signal?.throwIfAborted();
    return link;
  } catch (error) {
    link.end();
    throw error;
  }
}

async function leastMs(link: WorkerLink): Promise<number> {
  const { runsMs } = await link.ask("measured", { kind: "measure", runs: MEASURED_RUNS });
  return Math.min(...runsMs);
}
