/** The encoder's worker: a frame in, its JPEG out. */
import { firstLine } from "../errors";
import type { EncodeAnswer, EncodeRequest } from "./jpeg";

let canvas: OffscreenCanvas | undefined;

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
  self.postMessage(answer, { transfer: "jpeg" in answer ? [answer.jpeg] : [] });
};

async function encode({ frame, maxWidth, quality }: EncodeRequest): Promise<EncodeAnswer> {
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
  const blob = await canvas.convertToBlob({ type: "image/jpeg", quality });
  return { jpeg: await blob.arrayBuffer(), width, height };
}
