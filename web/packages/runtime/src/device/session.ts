/** One graph in ONNX Runtime (wasm): uint8 pixels in, the three outputs out. Runs in the worker. */

import loaderUrl from "onnxruntime-web/ort-wasm-simd-threaded.mjs?url";
import wasmUrl from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import * as ort from "onnxruntime-web/wasm";
import { firstLine, GraphUnusable, InferenceFailed, WebAssemblyUnsupported } from "../errors";
import type { Manifest } from "../model/manifest";
import type { GraphOutputs } from "./postprocess";

export class GraphSession {
  readonly manifest: Manifest;
  /** (height, width, 3) RGB: the pixels that the next run sees. */
  readonly input: Uint8Array;
  readonly #session: ort.InferenceSession;
  readonly #tensor: ort.Tensor;

  private constructor(manifest: Manifest, session: ort.InferenceSession) {
    this.manifest = manifest;
    this.#session = session;
    this.input = new Uint8Array(manifest.width * manifest.height * 3);
    this.#tensor = new ort.Tensor("uint8", this.input, [1, manifest.height, manifest.width, 3]);
  }

  /**
   * A session that has run once. The number of threads holds for the whole worker: ONNX Runtime
   * fixes it when its wasm starts. Raises WebAssemblyUnsupported or GraphUnusable.
   */
  static async open(manifest: Manifest, graph: Uint8Array, threads: number): Promise<GraphSession> {
    if (!hasSimd()) {
      throw new WebAssemblyUnsupported(
        "this browser has no WebAssembly SIMD; a current Chrome, Edge, Firefox or Safari does",
      );
    }
    ort.env.logLevel = "error";
    ort.env.wasm.numThreads = threads;
    ort.env.wasm.wasmPaths = { mjs: absolute(loaderUrl), wasm: absolute(wasmUrl) };
    let session: ort.InferenceSession;
    try {
      session = await ort.InferenceSession.create(graph, {
        executionProviders: ["wasm"],
        graphOptimizationLevel: "all",
      });
    } catch (error) {
      throw new GraphUnusable(`${manifest.name} cannot be loaded: ${firstLine(error)}`);
    }
    const opened = new GraphSession(manifest, session);
    try {
      await opened.run();
    } catch (error) {
      throw new GraphUnusable(`${manifest.name} does not run: ${firstLine(error)}`);
    }
    return opened;
  }

  /** The outputs for `input`. Raises InferenceFailed. */
  async run(): Promise<GraphOutputs> {
    let results: ort.InferenceSession.ReturnType;
    try {
      results = await this.#session.run({ image: this.#tensor });
    } catch (error) {
      throw new InferenceFailed(`${this.manifest.name} failed: ${firstLine(error)}`);
    }
    const { boxes, scores, labels } = results;
    const count = this.manifest.maxDetections;
    if (
      !(boxes?.data instanceof Float32Array && boxes.data.length === count * 4) ||
      !(scores?.data instanceof Float32Array && scores.data.length === count) ||
      !(labels?.data instanceof Int32Array && labels.data.length === count)
    ) {
      throw new InferenceFailed(
        `${this.manifest.name} gave other outputs than its manifest says; make the model again`,
      );
    }
    return { boxesXyxyNorm: boxes.data, scores: scores.data, labelIds: labels.data };
  }
}

/** A URL that also holds inside the threads' own workers. */
function absolute(url: string): string {
  return new URL(url, import.meta.url).href;
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
