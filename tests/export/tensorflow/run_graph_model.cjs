// Runs a graph model in TensorFlow.js under Node: web's folder, the model's folder, the backend.
// stdin: {"inputs": {name: {shape, values}}}, int32 all; stdout: what the model says of itself and
// its outputs of two runs, {name: {shape, dtype, values}}.
const fs = require('node:fs');
const path = require('node:path');
const { createRequire } = require('node:module');

const [, , web, folder, backend] = process.argv;
const load = createRequire(path.join(web, 'package.json'));
const tf = load('@tensorflow/tfjs-core');
const converter = load('@tensorflow/tfjs-converter');
load('@tensorflow/tfjs-backend-cpu');
const wasm = load('@tensorflow/tfjs-backend-wasm');
console.warn = () => {};
wasm.setWasmPaths(`${path.dirname(load.resolve('@tensorflow/tfjs-backend-wasm'))}/`);

function readModel() {
  const model = JSON.parse(fs.readFileSync(path.join(folder, 'model.json'), 'utf-8'));
  const files = model.weightsManifest.flatMap((group) => group.paths);
  const data = new Uint8Array(Buffer.concat(files.map((n) => fs.readFileSync(path.join(folder, n)))));
  const specs = tf.io.getWeightSpecs(model.weightsManifest);
  return tf.io.getModelArtifactsForJSONSync(model, specs, data.buffer);
}

async function run(model, inputs) {
  const names = model.outputNodes;
  const found = await model.executeAsync(inputs);
  const outputs = {};
  for (const [index, tensor] of [found].flat().entries()) {
    const { shape, dtype } = tensor;
    outputs[names[index]] = { shape, dtype, values: Array.from(tensor.dataSync()) };
    tensor.dispose(); // as a caller does with what he was given
  }
  return outputs;
}

async function main() {
  await tf.setBackend(backend);
  const { inputs } = JSON.parse(fs.readFileSync(0, 'utf-8'));
  const model = await converter.loadGraphModel({ load: async () => readModel() });
  const runs = [];
  for (let count = 0; count < 2; count++) {
    const tensors = Object.entries(inputs).map(([name, { shape, values }]) => [
      name,
      tf.tensor(values, shape, 'int32'),
    ]);
    const before = tf.memory().numTensors;
    const outputs = await run(model, Object.fromEntries(tensors));
    runs.push({ outputs, leaked: tf.memory().numTensors - before });
    for (const [, tensor] of tensors) tensor.dispose();
  }
  const ops = Object.values(model.executor.graph.nodes).map((node) => node.op);
  console.log(JSON.stringify({ backend: tf.getBackend(), inputs: model.inputs, ops, runs }));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
