/** The detector's worker: frames in, detections out. One request at a time, answered in order. */
import {
  FrameUnusable,
  firstLine,
  GraphUnusable,
  OutOfMemory,
  toWire,
  WorkerFailed,
} from "../errors";
import type { Manifest } from "../model/manifest";
import { MotionGate } from "../tracking/motion";
import { type GraphEngine, openEngine } from "./graph";
import { watchMemory } from "./memory";
import { PixelReader, type RgbaImage } from "./pixels";
import { letterboxSpan, postprocess } from "./postprocess";
import { type Answer, type Frame, isVideoFrame, type Request, transferables } from "./protocol";
import { Letterboxer, Resizer } from "./resize";

interface Opened {
  readonly manifest: Manifest;
  readonly engine: GraphEngine;
  readonly resizer: Resizer | Letterboxer;
}

const memoryBytes = watchMemory();
const reader = new PixelReader();
const gate = new MotionGate();
let opened: Opened | undefined;
let queue: Promise<void> = Promise.resolve();

self.onmessage = (event: MessageEvent<Request>) => {
  const request = event.data;
  queue = queue.then(async () => {
    try {
      send(await answer(request));
    } catch (error) {
      send({ kind: "failed", id: request.id, error: toWire(nameCause(error)) });
    }
  });
};

function send(message: Answer): void {
  self.postMessage(message, { transfer: transferables(message) });
}

async function answer(request: Request): Promise<Answer> {
  if (request.kind === "open") return await open(request);
  if (opened === undefined) throw new WorkerFailed("the worker was asked before a model was open");
  if (request.kind === "measure") return await measure(request, opened);
  if (request.kind === "look") return await look(request, opened);
  return await detect(request, opened);
}

async function open(request: Request & { kind: "open" }): Promise<Answer> {
  const { model, backend } = request;
  const { manifest } = model;
  const engine = await openEngine(model, backend, (reason) =>
    send({ kind: "lost", id: -1, reason }),
  );
  const start = performance.now();
  try {
    await engine.run();
  } catch (error) {
    throw new GraphUnusable(`${manifest.name} does not run: ${firstLine(error)}`);
  }
  const firstRunMs = performance.now() - start;
  const Fitting = manifest.resize === "letterbox" ? Letterboxer : Resizer;
  opened = { manifest, engine, resizer: new Fitting(manifest.width, manifest.height) };
  return { kind: "opened", id: request.id, memoryBytes: memoryBytes(), firstRunMs };
}

async function detect(request: Request & { kind: "detect" }, opened: Opened): Promise<Answer> {
  const { manifest, engine, resizer } = opened;
  const { frame, motion } = request;
  const start = performance.now();
  const size = shownSize(frame);
  const image = await readAndClose(frame, resizer);
  const { rgba, width, height } = image;
  if (motion !== null) gate.factor = motion.factor;
  const hasMoved = motion === null || gate.hasMoved(rgba, width, height, motion.timeS);
  if (hasMoved) resizer.resize(engine.input);
  const ready = performance.now();
  const outputs = hasMoved ? await engine.run() : null;
  const inferred = performance.now();
  const found =
    outputs &&
    postprocess(outputs, {
      threshold: request.threshold,
      nmsIou: manifest.nmsIou,
      ...(resizer instanceof Letterboxer ? letterboxSpan(image, resizer, size) : size),
    });
  const timing = {
    preprocessMs: ready - start,
    inferenceMs: inferred - ready,
    postprocessMs: performance.now() - inferred,
  };
  const memory = memoryBytes();
  return { kind: "detected", id: request.id, found, ...size, timing, memoryBytes: memory };
}

/**
 * Its pixels. A camera has but a few frames: none is held during the inference, where the worker
 * may hang or be ended.
 */
async function readAndClose(frame: Frame, resizer: Resizer | Letterboxer): Promise<RgbaImage> {
  try {
    return await reader.read(frame, (width, height) => resizer.room(width, height));
  } finally {
    frame.close();
  }
}

/** The size that the frame is shown in, which for anamorphic video is not its pixels'. */
function shownSize(frame: Frame): { width: number; height: number } {
  if (isVideoFrame(frame)) return { width: frame.displayWidth, height: frame.displayHeight };
  return { width: frame.width, height: frame.height };
}

async function look(request: Request & { kind: "look" }, { engine }: Opened): Promise<Answer> {
  if (request.pixels !== null) engine.input.set(request.pixels);
  const pixels = engine.input.slice();
  return { kind: "looked", id: request.id, pixels, outputs: await engine.run() };
}

/** Bare runs of the graph on the pixels seen last. */
async function measure(request: Request & { kind: "measure" }, opened: Opened): Promise<Answer> {
  const runsMs: number[] = [];
  for (let run = 0; run < request.runs; run++) {
    const start = performance.now();
    await opened.engine.run();
    runsMs.push(performance.now() - start);
  }
  return { kind: "measured", id: request.id, runsMs };
}

/** Runtimes have many words for too little memory. */
function nameCause(error: unknown): unknown {
  if (error instanceof FrameUnusable) return error;
  const text = firstLine(error);
  const isMemory = /out of memory|bad_alloc|\bOOM\b|allocation failed|could not allocate/i.test(
    text,
  );
  return isMemory
    ? new OutOfMemory(`the model needs more memory than this page may have: ${text}`)
    : error;
}
