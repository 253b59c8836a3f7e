// With server_page.js: its moving photo as a video with an overlay, and what is painted there.
const { watchVideo } = await import(window.library ?? "/sightline.js");

const LINE = [255, 0, 255]; // as no photo is
const ROW = 180; // through the photo
const BITS = 16;
const BLOCK = 16; // pixels a bit of the frame's number

const painted = []; // [number of the frame, middle of the box over it], as seen one after the other
const errors = [];

/** Number and box as they are painted now; null where there is no frame or no box. */
function readPainted(canvas, context) {
  const { width } = context.canvas;
  context.clearRect(0, 0, width, context.canvas.height);
  context.drawImage(canvas, 0, 0);
  const blocks = context.getImageData(0, BLOCK / 2, width, 1).data;
  const row = context.getImageData(0, ROW, width, 1).data;
  if (blocks[3] !== 255) return null;
  let number = 0;
  for (let bit = 0; bit < BITS; bit++) {
    if (blocks[(bit * BLOCK + BLOCK / 2) * 4] > 128) number += 2 ** bit;
  }
  const isLine = (x) => LINE.every((value, channel) => row[x * 4 + channel] === value);
  const lines = Array.from({ length: width }, (_, x) => x).filter(isLine);
  if (lines.length === 0) return null;
  return [number, (lines[0] + lines.at(-1) + 1) / 2];
}

/** Read what is painted, frame by frame of the page. */
function keepPainted(size) {
  const context = new OffscreenCanvas(size.width, size.height).getContext("2d", {
    willReadFrequently: true,
  });
  const read = () => {
    requestAnimationFrame(read);
    const canvas = document.querySelector(".sightline-overlay");
    const now = canvas && readPainted(canvas, context);
    if (now && String(now) !== String(painted.at(-1))) painted.push(now);
  };
  read();
}

/** So many milliseconds of it as a file's address. */
async function record(canvas, durationMs) {
  const recorder = new MediaRecorder(canvas.captureStream(), { videoBitsPerSecond: 8e6 });
  const parts = [];
  recorder.ondataavailable = ({ data }) => parts.push(data);
  const stopped = new Promise((resolve) => {
    recorder.onstop = resolve;
  });
  recorder.start();
  setTimeout(() => recorder.stop(), durationMs);
  await stopped;
  return URL.createObjectURL(new Blob(parts, { type: "video/webm" }));
}

Object.assign(window.lab, {
  painted,
  errors,
  /** Watch the moving photo, in the colour that is looked for. */
  async watch(photoUrl, isFile, options) {
    this.canvas = await this.startCanvas(photoUrl);
    const { canvas } = this;
    const video = document.createElement("video");
    video.muted = true;
    video.loop = true;
    if (isFile) video.src = await record(canvas, 6000);
    else video.srcObject = canvas.captureStream();
    video.style.cssText = `width:${canvas.width}px;height:${canvas.height}px`;
    document.body.replaceChildren(video);
    await video.play();
    const look = { color: "#f0f", lineWidth: 2, fontFamily: "monospace", fontSize: 10 };
    const onError = (error) => errors.push(error.message);
    this.watching = watchVideo(video, { max: 1, look, onError, ...options });
    keepPainted(canvas);
  },
});
