// A page on the server whose pictures are known: a photo that moves along a known path.
const { connectWebRtc, connectWebSocket } = await import(window.library ?? "/sightline.js");

const WIDTH = 640;
const HEIGHT = 360;
const SIZE = 200; // of the photo on the canvas
const STEP = 8; // pixels from frame to frame
const EVERY_MS = 1000 / 30;
const MARGIN = 12;
const SPAN = WIDTH - SIZE - 2 * MARGIN;

const paints = []; // [left edge, when] by frame number
const results = []; // [middle of the best box, captured, shown, in the server]
const states = [];

/** The photo's left edge in a frame: there and back, over and over. */
function leftEdge(number) {
  const way = (number * STEP) % (2 * SPAN);
  return MARGIN + (way < SPAN ? way : 2 * SPAN - way);
}

async function startCanvas(photoUrl) {
  const photo = new Image();
  photo.src = photoUrl;
  await photo.decode();
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  let due = 0;
  const paint = () => {
    requestAnimationFrame(paint);
    const now = performance.now();
    if (now < due) return;
    due = Math.max(due + EVERY_MS, now);
    const number = paints.length;
    const left = leftEdge(number);
    context.fillStyle = "#8a8f94";
    context.fillRect(0, 0, WIDTH, HEIGHT);
    context.drawImage(photo, left, 80, SIZE, SIZE);
    // The number in blocks of 16 pixels, which survive compression.
    for (let bit = 0; bit < 16; bit++) {
      context.fillStyle = (number >> bit) & 1 ? "#fff" : "#000";
      context.fillRect(bit * 16, 0, 16, 16);
    }
    paints.push([left, performance.now()]);
    canvas.dispatchEvent(new Event("paint"));
  };
  paint();
  return canvas;
}

function note(result) {
  const best = result?.detections[0];
  if (best === undefined) return;
  const [x1, , x2] = best.boxXyxy;
  const middle = (((x1 + x2) / 2) * WIDTH) / result.width;
  results.push([middle, result.capturedAt, performance.now(), result.serverMs]);
}

const onState = (state) => states.push({ kind: state.kind, error: state.error?.code ?? null });

/** Another connection within this page: what its far end receives. */
async function sendToAnotherPeer(stream) {
  const near = new RTCPeerConnection();
  const far = new RTCPeerConnection();
  near.onicecandidate = ({ candidate }) => far.addIceCandidate(candidate);
  far.onicecandidate = ({ candidate }) => near.addIceCandidate(candidate);
  const received = new Promise((resolve) => {
    far.ontrack = ({ track }) => resolve(new MediaStream([track]));
  });
  near.addTrack(stream.getVideoTracks()[0], stream);
  await near.setLocalDescription();
  await far.setRemoteDescription(near.localDescription);
  await far.setLocalDescription();
  await near.setRemoteDescription(far.localDescription);
  return await received;
}

const ways = {
  async websocket(canvas, options) {
    const server = connectWebSocket({ ...options, onState });
    canvas.addEventListener("paint", () => {
      const capturedAt = paints.at(-1)[1];
      const frame = new VideoFrame(canvas, { timestamp: capturedAt * 1000 });
      server.detect(frame, { capturedAt }).then(note, () => undefined);
    });
    return server;
  },
  async webrtc(canvas, options) {
    return connectWebRtc({ ...options, stream: canvas.captureStream(), onResult: note, onState });
  },
  async forwarded(canvas, options) {
    const stream = await sendToAnotherPeer(canvas.captureStream());
    return connectWebRtc({ ...options, stream, onResult: note, onState });
  },
};

window.lab = {
  paints,
  results,
  states,
  startCanvas,
  async start(way, photoUrl, options = {}) {
    this.connection = await ways[way](await startCanvas(photoUrl), options);
  },
};
