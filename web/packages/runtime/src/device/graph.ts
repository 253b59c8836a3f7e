/** What the worker needs of whatever runs the graph, and which there are. */
import { BackendUnsupported, WebAssemblyUnsupported } from "../errors";
import type { Model } from "../model/load";
import type { Runtime } from "../model/manifest";
import type { GraphOutputs } from "./postprocess";

/** What the graph runs on. */
export interface Backend {
  readonly name: "wasm" | "webgpu" | "webgl";
  readonly threads: number;
  readonly runtime: Runtime;
}

export interface GraphEngine {
  /** (height, width, 3) RGB: the pixels that the next run sees. */
  readonly input: Uint8Array;
  /** The outputs for `input`, which hold until the next run. Raises InferenceFailed. */
  run(): Promise<GraphOutputs>;
}

/** An engine's part that is downloaded only where it is used. */
export interface EngineModule {
  open(model: Model, backend: Backend, onLost: (reason: string) => void): Promise<GraphEngine>;
}

/**
 * The engine of a backend, which has not run yet. `onLost` is told when it can run no more.
 * Raises WebAssemblyUnsupported, BackendUnsupported or GraphUnusable.
 */
export async function openEngine(
  model: Model,
  backend: Backend,
  onLost: (reason: string) => void,
): Promise<GraphEngine> {
  if (!hasSimd()) {
    throw new WebAssemblyUnsupported(
      "this browser has no WebAssembly SIMD; a current Chrome, Edge, Firefox or Safari does",
    );
  }
  const engine = await loadEngine(backend);
  return await engine.open(model, backend, onLost);
}

async function loadEngine({ runtime, name }: Backend): Promise<EngineModule> {
  if (runtime === "tfjs" && name !== "webgpu") return await import("./engines/tfjs");
  if (runtime === "onnx" && name === "wasm") return await import("./engines/onnxwasm");
  if (runtime === "onnx" && name === "webgpu") return await import("./engines/onnxwebgpu");
  throw new BackendUnsupported(
    runtime === "onnx"
      ? `an ONNX model runs on wasm or webgpu, not on ${name}`
      : `a TensorFlow.js model runs on wasm or webgl, not on ${name}`,
  );
}

/** Whether a module with one SIMD instruction (i8x16.popcnt) validates. */
function hasSimd(): boolean {
  return WebAssembly.validate(
    new Uint8Array([
      0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253,
      15, 253, 98, 11,
    ]),
  );
}
