/** The artefact in LiteRT.js. Its wasm is not part of this page: a benchmark serves it in litert/. */

import { loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";
import type { Outputs, Picture, Session, Task } from "./session";

export async function open(task: Task): Promise<Session> {
  // Not in a module worker: it loads its wasm by a script element.
  await loadLiteRt(new URL("litert/", location.href).href, { threads: task.threads > 1 });
  const model = await loadAndCompile(new URL(task.main, location.href), {
    accelerator: "wasm",
    cpuOptions: { numThreads: task.threads },
  });
  const type = model.getInputDetails().find(({ name }) => name === task.inputName)?.dtype;
  return {
    device: `wasm, threads: ${task.threads}`,
    run: async ({ pixels, height, width }: Picture): Promise<Outputs> => {
      const values = type === "float32" ? Float32Array.from(pixels) : pixels;
      const input = new Tensor(values, [1, height, width, 3]);
      const results = await model.run({ [task.inputName]: input });
      input.delete();
      const [boxes, scores, labels] = task.outputNames.map((name) => {
        const tensor = results[name];
        if (tensor === undefined) {
          throw new Error(`the graph has no output ${name}; it has ${Object.keys(results)}`);
        }
        return Array.from(tensor.toTypedArray());
      });
      for (const tensor of Object.values(results)) {
        tensor.delete();
      }
      return { boxes: boxes ?? [], scores: scores ?? [], labels: labels ?? [] };
    },
  };
}
