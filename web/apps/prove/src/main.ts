/**
 * The page in which an exported model is run to be proven. Python opens it in a browser without a
 * window, calls `prove`, and serves it the model's files and the images.
 */

import type { Outputs, Picture, Session, Task } from "./session";

declare global {
  interface Window {
    readonly prove: Proof;
  }
}

const RUNTIMES: Readonly<Record<string, (task: Task) => Promise<Session>>> = {
  "onnxruntime-web/wasm": async (task) => (await import("./onnx")).openWasm(task),
  "onnxruntime-web/webgpu": async (task) => (await import("./onnx")).openWebGpu(task),
  "tfjs/wasm": async (task) => (await import("./tfjs")).openWasm(task),
  "tfjs/webgl": async (task) => (await import("./tfjs")).openWebGl(task),
  "litert-web": async (task) => (await import("./litert")).open(task),
};

class Proof {
  #session: Session | undefined;

  /** Load the artefact; what it runs on, in words. */
  async open(task: Task): Promise<string> {
    const open = RUNTIMES[task.runtime];
    if (open === undefined) {
      throw new Error(`there is no runtime ${task.runtime}`);
    }
    this.#session = await open(task);
    return this.#session.device;
  }

  /** The outputs for the image at an address: (height, width, 3) RGB as bare bytes. */
  async run(image: string, height: number, width: number): Promise<Outputs> {
    return this.#opened().run(await fetchPicture(image, height, width));
  }

  /** Milliseconds of each of `runs` inferences on one image. */
  async time(image: string, height: number, width: number, runs: number): Promise<number[]> {
    const session = this.#opened();
    const picture = await fetchPicture(image, height, width);
    const durations: number[] = [];
    for (let run = 0; run < runs; run += 1) {
      const start = performance.now();
      await session.run(picture);
      durations.push(performance.now() - start);
    }
    return durations;
  }

  #opened(): Session {
    if (this.#session === undefined) {
      throw new Error("nothing was opened");
    }
    return this.#session;
  }
}

async function fetchPicture(image: string, height: number, width: number): Promise<Picture> {
  const response = await fetch(image);
  if (!response.ok) {
    throw new Error(`the image was not served: ${response.status}`);
  }
  const pixels = new Uint8Array(await response.arrayBuffer());
  return { pixels, height, width };
}

Object.defineProperty(window, "prove", { value: new Proof() });
