/** A graph in ONNX Runtime, whichever of its builds: uint8 pixels in, the three outputs out. */
import type * as Ort from "onnxruntime-web";
import { firstLine, GraphUnusable, InferenceFailed } from "../../errors";
import type { Model } from "../../model/load";
import { GRAPH_NAME, type Manifest } from "../../model/manifest";
import type { GraphEngine } from "../graph";
import type { GraphOutputs } from "../postprocess";

export interface OnnxBuild {
  readonly ort: typeof Ort;
  readonly provider: "wasm" | "webgpu";
  readonly threads: number;
  /** Addresses of its loader and wasm. */
  readonly loaderUrl: string;
  readonly wasmUrl: string;
}

/**
 * The number of threads holds for the whole worker: ONNX Runtime fixes it when its wasm starts.
 * Raises GraphUnusable.
 */
export async function openOnnx(model: Model, build: OnnxBuild): Promise<GraphEngine> {
  const { ort, provider, threads, loaderUrl, wasmUrl } = build;
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = { mjs: absolute(loaderUrl), wasm: absolute(wasmUrl) };
  const graph = model.files.get(GRAPH_NAME) ?? new Uint8Array();
  try {
    const session = await ort.InferenceSession.create(graph, {
      executionProviders: [provider],
      graphOptimizationLevel: "all",
      logSeverityLevel: 3,
    });
    return new OnnxEngine(ort, model.manifest, session);
  } catch (error) {
    throw new GraphUnusable(`${model.manifest.name} cannot be loaded: ${firstLine(error)}`);
  }
}

class OnnxEngine implements GraphEngine {
  readonly input: Uint8Array;
  readonly #manifest: Manifest;
  readonly #session: Ort.InferenceSession;
  readonly #feeds: Ort.InferenceSession.FeedsType;

  constructor(ort: typeof Ort, manifest: Manifest, session: Ort.InferenceSession) {
    const { width, height, inputName } = manifest;
    this.#manifest = manifest;
    this.#session = session;
    this.input = new Uint8Array(width * height * 3);
    this.#feeds = { [inputName]: new ort.Tensor("uint8", this.input, [1, height, width, 3]) };
  }

  async run(): Promise<GraphOutputs> {
    let results: Ort.InferenceSession.ReturnType;
    try {
      results = await this.#session.run(this.#feeds);
    } catch (error) {
      throw new InferenceFailed(`${this.#manifest.name} failed: ${firstLine(error)}`);
    }
    const { maxDetections, outputNames, name } = this.#manifest;
    const [boxes, scores, labels] = outputNames.map((output) => results[output]?.data);
    if (
      !(boxes instanceof Float32Array && boxes.length === maxDetections * 4) ||
      !(scores instanceof Float32Array && scores.length === maxDetections) ||
      !(labels instanceof Int32Array && labels.length === maxDetections)
    ) {
      throw new InferenceFailed(
        `${name} gave other outputs than its manifest says; make the model again`,
      );
    }
    return { boxesXyxyNorm: boxes, scores, labelIds: labels };
  }
}

/** A URL that also holds inside the threads' own workers. */
function absolute(url: string): string {
  return new URL(url, import.meta.url).href;
}
