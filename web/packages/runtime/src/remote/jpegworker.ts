/** The encoder's worker: a frame in, its JPEG out; nothing where nothing has moved. */
import { firstLine } from "../errors";
import { MotionGate } from "../tracking/motion";
import type { EncodeAnswer, EncodeRequest, MotionRequest } from "./jpeg";

let canvas: OffscreenCanvas | undefined;
let gate: MotionGate | undefined;

self.onmessage = async (event: MessageEvent<EncodeRequest>) => {
  const { frame } = event.data;
  let answer: EncodeAnswer;
  try {
    answer = await encode(event.data);
  } catch (error) {
    answer = { failure: `the frame cannot be made a JPEG: ${firstLine(error)}` };
  } finally {
    frame.close();
  }
  const jpeg = "jpeg" in answer ? answer.jpeg : null;
  self.postMessage(answer, { transfer: jpeg === null ? [] : [jpeg] });
};

async function encode({ frame, maxWidth, quality, motion }: EncodeRequest): Promise<EncodeAnswer> {
  const [width, height] =
    "displayWidth" in frame
      ? [frame.displayWidth, frame.displayHeight]
      : [frame.width, frame.height];
  const scale = Math.min(1, maxWidth / width);
  const [across, down] = [Math.round(width * scale), Math.max(1, Math.round(height * scale))];
  if (canvas?.width !== across || canvas.height !== down) {
    canvas = new OffscreenCanvas(across, down);
  }
  const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  if (context === null) throw new Error(`no canvas of ${across} x ${down} pixels`);
  context.fillStyle = "#fff"; // transparent pixels lie on white, as in Python
  context.fillRect(0, 0, across, down);
  context.drawImage(frame, 0, 0, across, down);
  if (motion !== null && !hasMoved(context, motion)) return { jpeg: null, width, height };
  const blob = await canvas.convertToBlob({ type: "image/jpeg", quality });
  return { jpeg: await blob.arrayBuffer(), width, height };
}

function hasMoved(context: OffscreenCanvasRenderingContext2D, motion: MotionRequest): boolean {
  const { factor, timeS, isAnew } = motion;
  if (gate === undefined || isAnew) gate = new MotionGate(factor);
  const { width, height } = context.canvas;
  return gate.hasMoved(context.getImageData(0, 0, width, height).data, width, height, timeS);
}
