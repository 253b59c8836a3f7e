/**
 * ONNX Runtime on WebGPU, in its build on JavaScript Promise Integration. The other build is
 * slower, and too large for hosts that take files of up to 25 MiB.
 */
import * as ort from "onnxruntime-web/jspi";
import loaderUrl from "onnxruntime-web/ort-wasm-simd-threaded.jspi.mjs?url";
import wasmUrl from "onnxruntime-web/ort-wasm-simd-threaded.jspi.wasm?url";
import { BackendUnsupported, InferenceFailed } from "../../errors";
import type { Model } from "../../model/load";
import type { Backend, GraphEngine } from "../graph";
import type { GraphOutputs } from "../postprocess";
import { openOnnx } from "./onnx";

export async function open(
  model: Model,
  _backend: Backend,
  onLost: (reason: string) => void,
): Promise<GraphEngine> {
  if (!("Suspending" in WebAssembly)) {
    throw new BackendUnsupported(
      "this browser has no JavaScript Promise Integration, which WebGPU needs here; Chrome 137 " +
        'and later do: use the backend "wasm"',
    );
  }
  if (!(await navigator.gpu?.requestAdapter())) {
    throw new BackendUnsupported(
      'this browser offers no WebGPU adapter; use the backend "wasm", or "auto"',
    );
  }
  const watch = watchGpu(onLost);
  const engine = await openOnnx(model, { ort, provider: "webgpu", threads: 1, loaderUrl, wasmUrl });
  return new CheckedEngine(engine, watch);
}

/** Raises InferenceFailed for runs of which the GPU reports an error, or has seen nothing. */
class CheckedEngine implements GraphEngine {
  readonly input: Uint8Array;
  readonly #engine: GraphEngine;
  readonly #watch: GpuWatch;

  constructor(engine: GraphEngine, watch: GpuWatch) {
    this.#engine = engine;
    this.#watch = watch;
    this.input = engine.input;
  }

  async run(): Promise<GraphOutputs> {
    const before = this.#watch.dispatches;
    const outputs = await this.#engine.run();
    if (this.#watch.problem !== "") throw new InferenceFailed(`WebGPU: ${this.#watch.problem}`);
    if (this.#watch.dispatches === before) {
      throw new InferenceFailed("nothing was computed on WebGPU: the graph ran elsewhere");
    }
    return outputs;
  }
}

interface GpuWatch {
  /** How many compute shaders were dispatched until now. */
  dispatches: number;
  /** The first error that the device reported. */
  problem: string;
}

/** Watches the device that the runtime is going to ask for. */
function watchGpu(onLost: (reason: string) => void): GpuWatch {
  const watch: GpuWatch = { dispatches: 0, problem: "" };
  for (const name of ["dispatchWorkgroups", "dispatchWorkgroupsIndirect"] as const) {
    const dispatch = GPUComputePassEncoder.prototype[name] as (...values: unknown[]) => void;
    Object.defineProperty(GPUComputePassEncoder.prototype, name, {
      value(this: GPUComputePassEncoder, ...values: unknown[]) {
        watch.dispatches += 1;
        dispatch.apply(this, values);
      },
    });
  }
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function (descriptor) {
    const device = await requestDevice.call(this, descriptor);
    device.addEventListener("uncapturederror", ({ error }) => {
      watch.problem ||= error.message;
    });
    void device.lost.then(({ message }) => onLost(`the GPU was lost: ${message}`));
    return device;
  };
  return watch;
}
