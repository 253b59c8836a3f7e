/** ONNX Runtime on wasm: what every browser runs. */
import loaderUrl from "onnxruntime-web/ort-wasm-simd-threaded.mjs?url";
import wasmUrl from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import * as ort from "onnxruntime-web/wasm";
import type { Model } from "../../model/load";
import type { Backend, GraphEngine } from "../graph";
import { openOnnx } from "./onnx";

export async function open(model: Model, { threads }: Backend): Promise<GraphEngine> {
  return await openOnnx(model, { ort, provider: "wasm", threads, loaderUrl, wasmUrl });
}
