/** The artefact as a TensorFlow.js graph model, on the backend wasm or webgl. */

import { loadGraphModel } from "@tensorflow/tfjs-converter";
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu"; // where webgl computes what is small
import type { Outputs, Picture, Session, Task } from "./session";

export async function openWasm(task: Task): Promise<Session> {
  const [{ setWasmPaths }, wasm] = await Promise.all([
    import("@tensorflow/tfjs-backend-wasm"),
    import("@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm?url"),
  ]);
  // One thread, as on every page that is not cross-origin isolated. Paths it wants for all three.
  tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
  setWasmPaths({
    "tfjs-backend-wasm.wasm": wasm.default,
    "tfjs-backend-wasm-simd.wasm": wasm.default,
    "tfjs-backend-wasm-threaded-simd.wasm": wasm.default,
  });
  await useBackend("wasm");
  return open(task, "wasm");
}

export async function openWebGl(task: Task): Promise<Session> {
  await import("@tensorflow/tfjs-backend-webgl");
  await useBackend("webgl");
  if (!tf.env().getBool("WEBGL_RENDER_FLOAT32_ENABLED")) {
    throw new Error("WebGL computes in 16 bits here, which is not what is to be proven");
  }
  return open(task, `webgl ${describeWebGl()}`);
}

async function useBackend(name: string): Promise<void> {
  if (!(await tf.setBackend(name)) || tf.getBackend() !== name) {
    throw new Error(`this browser does not run TensorFlow.js on ${name}`);
  }
}

function describeWebGl(): string {
  const context = document.createElement("canvas").getContext("webgl2");
  const names = context?.getExtension("WEBGL_debug_renderer_info");
  return names ? String(context?.getParameter(names.UNMASKED_RENDERER_WEBGL)) : "";
}

async function open(task: Task, device: string): Promise<Session> {
  const model = await loadGraphModel(task.main);
  const names = [...task.outputNames];
  const weights = new Set(Object.values(model.weights).flat());
  let hasDynamicSteps = false;

  /** The outputs in the order of their names; without waiting between steps if the graph can. */
  async function execute(inputs: tf.NamedTensorMap): Promise<tf.Tensor[]> {
    if (!hasDynamicSteps) {
      try {
        return tf.tidy(() => model.execute(inputs, names) as tf.Tensor[]);
      } catch (error) {
        hasDynamicSteps = String(error).includes("executeAsync");
        if (!hasDynamicSteps) {
          throw error;
        }
      }
    }
    return (await model.executeAsync(inputs, names)) as tf.Tensor[];
  }

  return {
    device,
    run: async ({ pixels, height, width }: Picture): Promise<Outputs> => {
      // int32, as tf.browser.fromPixels gives; TensorFlow.js has no uint8.
      const input = tf.tensor4d(Int32Array.from(pixels), [1, height, width, 3], "int32");
      const tensors = await execute({ [task.inputName]: input });
      const [boxes, scores, labels] = await Promise.all(
        tensors.map(async (tensor) => Array.from(await tensor.data())),
      );
      // An output that is a constant is one of the model's weights, which the next run needs.
      tf.dispose([input, ...tensors.filter((tensor) => !weights.has(tensor))]);
      return { boxes: boxes ?? [], scores: scores ?? [], labels: labels ?? [] };
    },
  };
}
