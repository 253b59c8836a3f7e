// Times of ONNX graphs in onnxruntime-web's wasm, interleaved in one Node process, as JSON lines.
//
//   node benchmarks/graph.mjs THREADS RUNS SIDE PIXELS OURS OFFICIAL
//
// PIXELS is a file of SIDE x SIDE x 3 bytes. Each run prints [[wall ms, processor ms], ...], one
// pair a graph. The first runs are left out: V8 is still compiling.
import { readFileSync } from "node:fs";
import * as ort from "../web/node_modules/onnxruntime-web/dist/ort.node.min.mjs";

const WARM_UP = 15;
const [threads, runs, side] = process.argv.slice(2, 5).map(Number);
const pixels = new Uint8Array(readFileSync(process.argv[5]));
ort.env.wasm.numThreads = threads;

const planes = new Float32Array(pixels.length);
for (let i = 0; i < side * side; i++)
  for (let c = 0; c < 3; c++) planes[c * side * side + i] = pixels[3 * i + c] / 255;

const feeds = [
  { image: new ort.Tensor("uint8", pixels, [1, side, side, 3]) },
  {
    images: new ort.Tensor("float32", planes, [1, 3, side, side]),
    orig_target_sizes: new ort.Tensor(
      "int64",
      new BigInt64Array([BigInt(side), BigInt(side)]),
      [1, 2],
    ),
  },
];
const sessions = [];
for (const path of process.argv.slice(6)) {
  sessions.push(await ort.InferenceSession.create(readFileSync(path), { logSeverityLevel: 3 }));
}
for (let run = -WARM_UP; run < runs; run++) {
  const times = [];
  for (const [index, session] of sessions.entries()) {
    const cpu = process.cpuUsage();
    const begun = performance.now();
    await session.run(feeds[index]);
    const { user, system } = process.cpuUsage(cpu);
    times.push([performance.now() - begun, (user + system) / 1000]);
  }
  if (run >= 0) console.log(JSON.stringify(times));
}
process.exit(0);
