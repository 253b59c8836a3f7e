/** Whether a runtime that says it is on WebGPU is: its dispatches are counted, its errors kept. */

export interface GpuWatch {
  /** The adapter, in words. */
  readonly device: string;
  /** How many compute shaders were dispatched until now. */
  dispatches(): number;
  /** Raises an Error if none were dispatched since `before`, or the device reported an error. */
  check(before: number): void;
}

/** Call it before the runtime asks for its device. Raises an Error if there is no adapter. */
export async function watchGpu(): Promise<GpuWatch> {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) {
    throw new Error("this browser offers no WebGPU adapter");
  }
  let dispatched = 0;
  let problem = "";
  for (const name of ["dispatchWorkgroups", "dispatchWorkgroupsIndirect"] as const) {
    replaceMethod(GPUComputePassEncoder.prototype, name, () => {
      dispatched += 1;
    });
  }
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function (descriptor) {
    const device = await requestDevice.call(this, descriptor);
    device.addEventListener("uncapturederror", ({ error }) => {
      problem ||= error.message;
    });
    void device.lost.then(({ message }) => {
      problem ||= `the device was lost: ${message}`;
    });
    return device;
  };
  const { vendor, architecture, description } = adapter.info;
  return {
    device: ["webgpu", vendor, architecture, description].filter(Boolean).join(" "),
    dispatches: () => dispatched,
    check: (before) => {
      if (problem) {
        throw new Error(`WebGPU: ${problem}`);
      }
      if (dispatched === before) {
        throw new Error("nothing was computed on WebGPU: the graph ran elsewhere");
      }
    },
  };
}

type Dispatch = "dispatchWorkgroups" | "dispatchWorkgroupsIndirect";

/** Have `called` run before each call of a method. */
function replaceMethod(prototype: GPUComputePassEncoder, name: Dispatch, called: () => void): void {
  const method = prototype[name] as (...values: unknown[]) => void;
  Object.defineProperty(prototype, name, {
    value(this: GPUComputePassEncoder, ...values: unknown[]) {
      called();
      method.apply(this, values);
    },
  });
}
