/** A TensorFlow.js graph model, on wasm or WebGL. */
import "@tensorflow/tfjs-backend-cpu"; // where webgl computes what is small
import { type GraphModel, loadGraphModel } from "@tensorflow/tfjs-converter";
import * as tf from "@tensorflow/tfjs-core";
import { BackendUnsupported, firstLine, GraphUnusable, InferenceFailed } from "../../errors";
import type { Model } from "../../model/load";
import type { Manifest } from "../../model/manifest";
import type { Backend, GraphEngine } from "../graph";
import type { GraphOutputs } from "../postprocess";
import { toOutputs } from "./conversion";

/** Raises BackendUnsupported or GraphUnusable. */
export async function open(model: Model, { name }: Backend): Promise<GraphEngine> {
  await (name === "webgl" ? useWebGl() : useWasm());
  try {
    const graph = await loadGraphModel(tf.io.fromMemory(readArtifacts(model)));
    return new TensorFlowEngine(model.manifest, graph);
  } catch (error) {
    throw new GraphUnusable(`${model.manifest.name} cannot be loaded: ${firstLine(error)}`);
  }
}

async function useWasm(): Promise<void> {
  const [{ setWasmPaths }, wasm] = await Promise.all([
    import("@tensorflow/tfjs-backend-wasm"),
    import("@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm?url"),
  ]);
  tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
  const url = new URL(wasm.default, import.meta.url).href;
  // It wants paths for all three.
  setWasmPaths({
    "tfjs-backend-wasm.wasm": url,
    "tfjs-backend-wasm-simd.wasm": url,
    "tfjs-backend-wasm-threaded-simd.wasm": url,
  });
  await useBackend("wasm");
}

async function useWebGl(): Promise<void> {
  await import("@tensorflow/tfjs-backend-webgl");
  await useBackend("webgl");
}

async function useBackend(name: string): Promise<void> {
  const isUsed = await tf.setBackend(name).catch(() => false);
  if (!isUsed || tf.getBackend() !== name) {
    throw new BackendUnsupported(
      `this browser does not run TensorFlow.js on ${name}; use another backend, or "auto"`,
    );
  }
}

interface GraphModelFile {
  readonly modelTopology: object;
  readonly weightsManifest: readonly {
    readonly paths: readonly string[];
    readonly weights: tf.io.WeightsManifestEntry[];
  }[];
}

/** model.json and its shards, which the manifest vouches for, as TensorFlow.js wants them. */
function readArtifacts({ manifest, files }: Model): tf.io.ModelArtifacts {
  const read = (name: string): Uint8Array<ArrayBuffer> => {
    const bytes = files.get(name);
    if (bytes === undefined) throw new Error(`the manifest has no file ${name}`);
    return bytes;
  };
  const main = manifest.files[0]?.name ?? "";
  const file = JSON.parse(new TextDecoder().decode(read(main))) as GraphModelFile;
  return {
    modelTopology: file.modelTopology,
    weightSpecs: file.weightsManifest.flatMap(({ weights }) => weights),
    weightData: file.weightsManifest.flatMap(({ paths }) => paths.map((path) => read(path).buffer)),
  };
}

class TensorFlowEngine implements GraphEngine {
  readonly input: Uint8Array;
  readonly #manifest: Manifest;
  readonly #graph: GraphModel;
  readonly #weights: ReadonlySet<tf.Tensor>;
  #hasDynamicSteps = false;

  constructor(manifest: Manifest, graph: GraphModel) {
    this.#manifest = manifest;
    this.#graph = graph;
    this.#weights = new Set(Object.values(graph.weights).flat());
    this.input = new Uint8Array(manifest.width * manifest.height * 3);
  }

  async run(): Promise<GraphOutputs> {
    const { width, height, inputName, name } = this.#manifest;
    // TensorFlow.js has no uint8.
    const input = tf.tensor4d(Int32Array.from(this.input), [1, height, width, 3], "int32");
    try {
      const tensors = await this.#execute({ [inputName]: input });
      const values = await Promise.all(tensors.map((tensor) => tensor.data()));
      // An output that is a constant is one of the model's weights, which the next run needs.
      tf.dispose(tensors.filter((tensor) => !this.#weights.has(tensor)));
      return toOutputs(values, this.#manifest);
    } catch (error) {
      throw new InferenceFailed(`${name} failed: ${firstLine(error)}`);
    } finally {
      input.dispose();
    }
  }

  /** The outputs in the order of their names; without waiting between steps if the graph can. */
  async #execute(inputs: tf.NamedTensorMap): Promise<tf.Tensor[]> {
    const names = [...this.#manifest.outputNames];
    if (!this.#hasDynamicSteps) {
      try {
        return tf.tidy(() => this.#graph.execute(inputs, names) as tf.Tensor[]);
      } catch (error) {
        this.#hasDynamicSteps = String(error).includes("executeAsync");
        if (!this.#hasDynamicSteps) throw error;
      }
    }
    return (await this.#graph.executeAsync(inputs, names)) as tf.Tensor[];
  }
}
