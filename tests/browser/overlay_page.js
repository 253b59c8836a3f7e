// A page with an overlay over a video whose picture is known: a white rectangle, or a number.
const { Overlay, classColor, watchVideo } = await import("/sightline.js");

const WIDTH = 320;
const HEIGHT = 180;
const RECTANGLE = [112, 63, 208, 117];
const PADDED = 16; // pixels a bit of the number

const canvas = document.createElement("canvas");
canvas.width = WIDTH;
canvas.height = HEIGHT;
const context = canvas.getContext("2d");
let paint = () => undefined;

function paintRectangle() {
  context.fillStyle = "#000";
  context.fillRect(0, 0, canvas.width, canvas.height);
  const [x1, y1, x2, y2] = RECTANGLE;
  context.fillStyle = "#fff";
  context.fillRect(x1, y1, x2 - x1, y2 - y1);
}

let number = 0;
function paintNumber() {
  number++;
  for (let bit = 0; bit < 16; bit++) {
    context.fillStyle = (number >> bit) & 1 ? "#fff" : "#000";
    context.fillRect(bit * PADDED, 0, PADDED, PADDED);
  }
  context.fillStyle = "#456";
  context.fillRect(0, PADDED, WIDTH, HEIGHT);
}

function paintColors() {
  for (let x = 0; x < 8; x++) {
    for (let y = 0; y < 3; y++) {
      context.fillStyle = `hsl(${x * 45} ${100 - y * 30}% ${30 + y * 20}%)`;
      context.fillRect(x * 40, y * 60, 40, 60);
    }
  }
}

const paints = { rectangle: paintRectangle, number: paintNumber, colors: paintColors };
const drawing = { width: WIDTH, height: HEIGHT, detections: [] };
const box = { label: "it", labelId: 0, score: 0.5, boxXyxy: RECTANGLE };
const frames = (count) =>
  new Promise((resolve) => {
    const next = () => (count-- > 0 ? requestAnimationFrame(next) : resolve());
    next();
  });

document.body.replaceChildren();
document.body.style.cssText = "margin:0;background:#333";

window.lab = {
  color: classColor(0),
  frames,
  // A video of this kind of picture, styled so, in an element styled so.
  async lay(kind, style = "", around = "") {
    this.overlay?.close();
    this.around?.remove();
    paint = paints[kind];
    this.around = document.createElement("div");
    this.around.style.cssText = around;
    this.video = document.createElement("video");
    this.video.style.cssText = style;
    this.video.muted = true;
    this.around.append(this.video);
    document.body.append(this.around);
    this.stream = canvas.captureStream(30);
    this.video.srcObject = this.stream;
    clearInterval(this.timer);
    this.timer = setInterval(() => paint(), 33);
    await this.video.play();
    await new Promise((resolve) => this.video.requestVideoFrameCallback(resolve));
    this.overlay = new Overlay(this.video, { mirror: false });
  },
  // The box of the rectangle; with the frame itself where it is asked for.
  async show(isFrame = false) {
    const picture = isFrame ? new VideoFrame(this.video) : null;
    this.overlay.show({ ...drawing, detections: [box] }, picture);
    await frames(5);
  },
  async clear() {
    this.overlay.clear();
    await frames(3);
  },
  async showNumber() {
    const picture = new VideoFrame(this.video);
    const shown = await this.read(picture);
    this.overlay.show(drawing, picture);
    return shown;
  },
  async read(picture) {
    const copy = new OffscreenCanvas(WIDTH, HEIGHT).getContext("2d");
    copy.drawImage(picture, 0, 0);
    return Array.from({ length: 16 }, (_, bit) => {
      const at = bit * PADDED + PADDED / 2;
      return copy.getImageData(at, PADDED / 2, 1, 1).data[0] > 128 ? 2 ** bit : 0;
    }).reduce((sum, part) => sum + part);
  },
  count: () => document.querySelectorAll(".sightline-overlay").length,
  watchVideo,
};
