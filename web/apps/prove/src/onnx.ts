/** The artefact in ONNX Runtime: the same wasm that the live page runs, and the WebGPU build. */

import type * as Ort from "onnxruntime-web";
import { watchGpu } from "./gpu";
import type { Outputs, Picture, Session, Task } from "./session";

export async function openWasm(task: Task): Promise<Session> {
  const ort: typeof Ort = await import("onnxruntime-web/wasm");
  const [mjs, wasm] = await Promise.all([
    import("onnxruntime-web/ort-wasm-simd-threaded.mjs?url"),
    import("onnxruntime-web/ort-wasm-simd-threaded.wasm?url"),
  ]);
  ort.env.wasm.wasmPaths = { mjs: mjs.default, wasm: wasm.default };
  const session = await create(ort, task, "wasm");
  return {
    device: `wasm, threads: ${ort.env.wasm.numThreads}`,
    run: (picture) => run(ort, session, task, picture),
  };
}

/** Its build on JavaScript Promise Integration: smaller and quicker than the one without. */
export async function openWebGpu(task: Task): Promise<Session> {
  if (!("Suspending" in WebAssembly)) {
    throw new Error("this browser has no JavaScript Promise Integration; Chrome 137 and later do");
  }
  const ort: typeof Ort = await import("onnxruntime-web/jspi");
  const [mjs, wasm] = await Promise.all([
    import("onnxruntime-web/ort-wasm-simd-threaded.jspi.mjs?url"),
    import("onnxruntime-web/ort-wasm-simd-threaded.jspi.wasm?url"),
  ]);
  ort.env.wasm.wasmPaths = { mjs: mjs.default, wasm: wasm.default };
  const gpu = await watchGpu();
  const session = await create(ort, task, "webgpu");
  return {
    device: gpu.device,
    run: async (picture) => {
      const before = gpu.dispatches();
      const outputs = await run(ort, session, task, picture);
      gpu.check(before);
      return outputs;
    },
  };
}

async function create(
  ort: typeof Ort,
  task: Task,
  provider: "wasm" | "webgpu",
): Promise<Ort.InferenceSession> {
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = task.threads;
  return ort.InferenceSession.create(task.main, {
    executionProviders: [provider],
    logSeverityLevel: 3,
  });
}

async function run(
  ort: typeof Ort,
  session: Ort.InferenceSession,
  task: Task,
  { pixels, height, width }: Picture,
): Promise<Outputs> {
  const tensor = new ort.Tensor("uint8", pixels, [1, height, width, 3]);
  const results = await session.run({ [task.inputName]: tensor });
  const [boxes, scores, labels] = task.outputNames.map((name) => {
    const data = results[name]?.data;
    if (data === undefined) {
      throw new Error(`the graph has no output ${name}; it has ${session.outputNames.join(", ")}`);
    }
    return Array.from(data as ArrayLike<number>);
  });
  return { boxes: boxes ?? [], scores: scores ?? [], labels: labels ?? [] };
}
