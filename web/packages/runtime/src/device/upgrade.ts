/** Another backend beside wasm: opened in a worker of its own, checked, timed. */
import { firstLine } from "../errors";
import type { Model } from "../model/load";
import { EngineWorker } from "./engineworker";
import type { Backend } from "./graph";
import { drawTestPicture, findDifference } from "./selfcheck";

const TIMED_RUNS = 10;
/** Of wasm's time: a first run of so much is not repeated. */
const HOPELESS_TIME = 3;
/** Of wasm's time: what is hardly faster is not worth leaving what surely works. */
const MOST_TIME = 0.8;

/** A backend that was opened or tried. */
export interface Attempt {
  readonly backend: Backend;
  /** Of some runs; null where it was not timed. */
  readonly medianMs: number | null;
  /** Why it is not used, or no more. */
  readonly problem: string | null;
}

/** `worker` is null where it has a problem. */
export interface Trial {
  readonly worker: EngineWorker | null;
  readonly attempt: Attempt;
}

/**
 * A worker on `backend` that finds what `wasm` finds: on the last frame and in less time where it
 * is timed, else on a picture drawn for it. Rejects with the signal's reason alone.
 */
export async function tryBackend(
  model: Model,
  backend: Backend,
  wasm: EngineWorker,
  options: { isTimed: boolean; signal: AbortSignal },
): Promise<Trial> {
  const { width, height, scoreThreshold } = model.manifest;
  let worker: EngineWorker | null = null;
  let medianMs: number | null = null;
  let problem: string | null = null;
  try {
    const wasmMs = wasm.medianMs; // before the other's opening slows it down
    worker = await EngineWorker.open(model, backend, options.signal);
    const picture = options.isTimed ? null : drawTestPicture(width, height);
    const expected = await wasm.look(picture);
    const found = await worker.look(expected.pixels);
    problem = findDifference(expected.outputs, found.outputs, scoreThreshold);
    if (problem === null && options.isTimed) {
      medianMs = await worker.measureMedian(1);
      if (medianMs < HOPELESS_TIME * wasmMs) medianMs = await worker.measureMedian(TIMED_RUNS);
      if (medianMs >= MOST_TIME * wasmMs) {
        problem = `${medianMs.toFixed(1)} ms a run, wasm takes ${wasmMs.toFixed(1)} ms`;
      }
    }
  } catch (error) {
    problem = firstLine(error);
  }
  if (options.signal.aborted) problem = "the detector was disposed";
  if (problem !== null) {
    worker?.end();
    worker = null;
  }
  options.signal.throwIfAborted();
  return { worker, attempt: { backend, medianMs, problem } };
}
