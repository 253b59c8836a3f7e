/** The detector's worker: frames in, detections out. One request at a time, answered in order. */
import { ModelHashMismatch, toWire, WorkerFailed } from "../errors";
import { sha256OfModel } from "../model/sha256";
import { PixelReader } from "./pixels";
import { letterboxSpan, postprocess } from "./postprocess";
import { type Answer, type Request, transferables } from "./protocol";
import { Letterboxer, Resizer } from "./resize";
import { GraphSession } from "./session";

interface Model {
  readonly session: GraphSession;
  readonly resizer: Resizer | Letterboxer;
}

const reader = new PixelReader();
let model: Model | undefined;
let queue: Promise<void> = Promise.resolve();

self.onmessage = (event: MessageEvent<Request>) => {
  const request = event.data;
  queue = queue.then(async () => {
    try {
      send(await answer(request));
    } catch (error) {
      send({ kind: "failed", id: request.id, error: toWire(error) });
    } finally {
      if (request.kind === "detect") request.frame.close();
    }
  });
};

function send(message: Answer): void {
  self.postMessage(message, { transfer: transferables(message) });
}

async function answer(request: Request): Promise<Answer> {
  if (request.kind === "open") return await open(request);
  if (model === undefined) throw new WorkerFailed("the worker was asked before a model was open");
  if (request.kind === "measure") return await measure(request, model);
  return await detect(request, model);
}

async function open(request: Request & { kind: "open" }): Promise<Answer> {
  const { manifest } = request;
  const graph = new Uint8Array(request.graph);
  if ((await sha256OfModel(graph)) !== manifest.graph.sha256) {
    throw new ModelHashMismatch(
      `the file of ${manifest.name} does not have the sha256 that its manifest records: ` +
        "it was changed or damaged on the way; reload, or make the model again",
    );
  }
  const session = await GraphSession.open(manifest, graph, request.threads);
  const Fitting = manifest.resize === "letterbox" ? Letterboxer : Resizer;
  model = { session, resizer: new Fitting(manifest.width, manifest.height) };
  return { kind: "opened", id: request.id };
}

async function detect(request: Request & { kind: "detect" }, model: Model): Promise<Answer> {
  const { session, resizer } = model;
  const start = performance.now();
  const image = await reader.read(request.frame);
  resizer.resize(image.rgba, image.width, image.height, session.input);
  const ready = performance.now();
  const outputs = await session.run();
  const inferred = performance.now();
  const { width, height } = shownSize(request.frame);
  const span =
    resizer instanceof Letterboxer
      ? letterboxSpan(image, resizer, { width, height })
      : { width, height };
  const found = postprocess(outputs, {
    threshold: request.threshold,
    nmsIou: session.manifest.nmsIou,
    ...span,
  });
  const timing = {
    preprocessMs: ready - start,
    inferenceMs: inferred - ready,
    postprocessMs: performance.now() - inferred,
  };
  return { kind: "detected", id: request.id, found, width, height, timing };
}

/** The size that the frame is shown in, which for anamorphic video is not its pixels'. */
function shownSize(frame: VideoFrame | ImageBitmap): { width: number; height: number } {
  if ("displayWidth" in frame) return { width: frame.displayWidth, height: frame.displayHeight };
  return { width: frame.width, height: frame.height };
}

/** Bare runs of the graph on the pixels seen last. */
async function measure(request: Request & { kind: "measure" }, model: Model): Promise<Answer> {
  const runsMs: number[] = [];
  for (let run = 0; run < request.runs; run++) {
    const start = performance.now();
    await model.session.run();
    runsMs.push(performance.now() - start);
  }
  return { kind: "measured", id: request.id, runsMs };
}
