// A page with the runtime and frames of known pictures: `lab` is driven from the test.
const runtime = await import(window.library ?? "/sightline.js");

async function pictureOf(photoUrl, width, height) {
  const photo = new Image();
  photo.src = photoUrl;
  await photo.decode();
  const canvas = document.createElement("canvas");
  canvas.width = width ?? photo.naturalWidth;
  canvas.height = height ?? photo.naturalHeight;
  // In memory, where no crash of the GPU takes it away.
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(photo, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/** What a promise rejects with, as JSON keeps it. */
async function failure(promise) {
  try {
    await promise;
    return null;
  } catch (error) {
    return { name: error.name, code: error.code ?? null, message: error.message };
  }
}

window.lab = {
  runtime,
  backends: [],
  failures: [],
  counts: { done: 0, skipped: 0 },

  async open(options) {
    this.detector?.dispose();
    this.detector = await runtime.createDetector({
      ...options,
      onBackend: ({ name }) => this.backends.push(name),
    });
    return this.detector.backend;
  },
  openFailure(options) {
    return failure(runtime.createDetector(options));
  },
  async show(photoUrl, width, height) {
    this.canvas = await pictureOf(photoUrl, width, height);
  },
  frame() {
    return new VideoFrame(this.canvas, { timestamp: 0 });
  },
  async detect(options) {
    return await this.detector.detect(this.frame(), options);
  },
  async camera() {
    this.video = document.createElement("video");
    this.video.muted = true;
    this.video.srcObject = await navigator.mediaDevices.getUserMedia({ video: true });
    await this.video.play();
    const fail = (error) => this.failures.push(error.code ?? error.message);
    const count = (result) => this.counts[result === null ? "skipped" : "done"]++;
    runtime.watchFrames(this.video, {
      wants: () => true,
      onFrame: (frame) => this.detector.detect(frame).then(count, fail),
      onError: fail,
    });
  },
  /** When of two frames asked for at once the second is given up: what becomes of each. */
  async abortWaiting() {
    const controller = new AbortController();
    const first = this.detect();
    const frame = this.frame();
    const waiting = failure(this.detector.detect(frame, { signal: controller.signal }));
    controller.abort(new Error("another picture was chosen"));
    const isClosed = frame.codedWidth === 0;
    return { waiting: await waiting, isClosed, first: (await first).detections.length };
  },
};
