/**
 * A detector from its options: the model, wasm at once, and whatever backend is better than that.
 */
import { BackendUnsupported, ConfigInvalid, OutOfMemory } from "../errors";
import { locateModel } from "../model/fetch";
import { loadModel, type Model } from "../model/load";
import type { Manifest } from "../model/manifest";
import { type Detector, type DetectorOptions, WorkerDetector } from "./detector";
import type { EngineWorker } from "./engineworker";
import { describeGpu } from "./gpu";
import type { Backend } from "./graph";
import { WorkerKeeper } from "./keeper";
import { describeDevice, type Experience, forget, recall, remember } from "./remember";
import { chooseThreads, maxThreads, openWasm } from "./threads";

/** So many frames come before the search for a better backend: the first boxes are not to wait. */
const FIRST_FRAMES = 10;

/**
 * A detector that has run once. Rejects with ConfigInvalid, a ModelError, TokenRefused,
 * WebAssemblyUnsupported, BackendUnsupported, OutOfMemory, WorkerFailed, or the signal's reason.
 */
export async function createDetector(options: DetectorOptions): Promise<Detector> {
  const { backend = "auto", signal } = options;
  checkThreads(options.threads);
  const model = await loadModel(locateModel(options.model), {
    onManifest: (manifest) => checkRuntime(manifest, options),
    onProgress: options.onProgress,
    signal,
    token: options.token,
  });
  const isOpen = backend === "auto" && model.manifest.runtime === "onnx";
  const gpu = isOpen ? await describeGpu() : null;
  const device = describeDevice(gpu);
  const known = recall(model.manifest.graph.sha256, device);
  const worker = await openFirst(model, options, known);
  const keeper = new WorkerKeeper(model, worker, {
    onBackend: (now) => options.onBackend?.(now),
    onFailure: ({ name }) => {
      if (name === "webgpu") forget(model.manifest.graph.sha256);
    },
  });
  if (backend !== "auto" && backend !== "wasm") await changeTo(backend, model, keeper, signal);
  const experience: Experience = { threads: worker.backend.threads, gpu: known?.gpu ?? "untried" };
  const learn = (learned: Experience): void => {
    if (options.threads === undefined) remember(model.manifest.graph.sha256, device, learned);
  };
  if (isOpen) learn(experience);
  const search = async (isTimed: boolean): Promise<void> => {
    try {
      const { worker } = await keeper.upgrade(onGpu(model, "webgpu"), isTimed);
      learn({ ...experience, gpu: worker !== null ? "faster" : isTimed ? "refused" : "untried" });
    } catch {
      // the detector was disposed, or has failed, which its next frame tells
    }
  };
  if (gpu !== null && experience.gpu === "faster") void search(false);
  let framesToCome = gpu !== null && experience.gpu === "untried" ? FIRST_FRAMES : 0;
  return new WorkerDetector(model.manifest, keeper, () => {
    if (framesToCome > 0 && --framesToCome === 0) void search(true);
  });
}

/** Workers would wait for ever for threads that cannot be. */
function checkThreads(threads: unknown): void {
  if (threads === undefined || (Number.isInteger(threads) && Number(threads) >= 1)) return;
  throw new ConfigInvalid(
    `threads is ${JSON.stringify(threads)}, not a whole number of at least 1; leave it out, and the ` +
      "fastest number is measured",
  );
}

/** Raises BackendUnsupported where the model is not for what was asked for. */
function checkRuntime(manifest: Manifest, { runtime, backend }: DetectorOptions): void {
  const { name } = manifest;
  const what = manifest.runtime === "onnx" ? "an ONNX model" : "a TensorFlow.js model";
  if (runtime !== undefined && runtime !== manifest.runtime) {
    throw new BackendUnsupported(
      `${name} is ${what}, the runtime "${runtime}" was asked for; leave it out, or make one with ` +
        `sightline export --to ${runtime}`,
    );
  }
  const other = manifest.runtime === "onnx" ? "webgpu" : "webgl";
  if (backend !== undefined && !["auto", "wasm", other].includes(backend)) {
    throw new BackendUnsupported(
      `${name} is ${what}, which runs on wasm or ${other}, not on "${backend}"`,
    );
  }
}

/** A worker on wasm; another try where memory was short, which the browser may have freed. */
async function openFirst(
  model: Model,
  { threads, signal }: DetectorOptions,
  known: Experience | null,
): Promise<EngineWorker> {
  const most = model.manifest.runtime === "tfjs" ? 1 : maxThreads();
  const open = async (): Promise<EngineWorker> => {
    if (threads !== undefined) return await openWasm(model, threads, signal);
    if (known === null || known.threads > most) return await chooseThreads(model, most, signal);
    return await openWasm(model, known.threads, signal);
  };
  try {
    return await open();
  } catch (error) {
    if (!(error instanceof OutOfMemory)) throw error;
    return await openWasm(model, 1, signal);
  }
}

/** Raises BackendUnsupported with the reason, or rejects with the signal's. */
async function changeTo(
  name: Exclude<Backend["name"], "wasm">,
  model: Model,
  keeper: WorkerKeeper,
  signal?: AbortSignal,
): Promise<void> {
  const abort = () => keeper.dispose();
  signal?.addEventListener("abort", abort);
  try {
    const { worker, attempt } = await keeper.upgrade(onGpu(model, name), false);
    if (worker === null) {
      throw new BackendUnsupported(
        `${model.manifest.name} does not run on ${name} here: ${attempt.problem}`,
      );
    }
  } catch (error) {
    keeper.dispose();
    throw signal?.aborted ? signal.reason : error;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

function onGpu(model: Model, name: "webgpu" | "webgl"): Backend {
  return { name, threads: 1, runtime: model.manifest.runtime };
}
