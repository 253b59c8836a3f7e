// The 2021 article's page on a video: everything on the main thread, TensorFlow.js on wasm, what is
// found drawn on a canvas over the picture. Its calls are those of tests/browser/article_page.js.
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { loadGraphModel } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops';

const THRESHOLD = 0.5;
const video = document.getElementById('video');
const canvas = document.getElementById('canvas');
const context = canvas.getContext('2d');
// What the benchmark reads.
window.article = { framesDetected: 0, detectMs: [], found: 0 };

function render(boxes, scores, classes) {
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  context.drawImage(video, 0, 0);
  window.article.found = 0;
  scores[0].forEach((score, index) => {
    if (score <= THRESHOLD) return;
    const [top, left, bottom, right] = boxes[0][index];
    const [x, y] = [left * video.videoWidth, top * video.videoHeight];
    context.strokeRect(x, y, right * video.videoWidth - x, bottom * video.videoHeight - y);
    context.fillText(`${classes[index]} ${(100 * score).toFixed(2)}%`, x, y);
    window.article.found += 1;
  });
}

async function detectFrame(model) {
  const begun = performance.now();
  tf.engine().startScope();
  const image = tf.browser.fromPixels(video).toInt();
  const outputs = await model.executeAsync(image.transpose([0, 1, 2]).expandDims());
  const [boxes, scores] = [outputs[0].arraySync(), outputs[1].arraySync()];
  render(boxes, scores, outputs[2].dataSync());
  tf.engine().endScope();
  window.article.detectMs.push(performance.now() - begun);
  window.article.framesDetected += 1;
  requestAnimationFrame(() => detectFrame(model));
}

async function start() {
  setWasmPaths('wasm/');
  await tf.setBackend('wasm');
  const model = await loadGraphModel('model/model.json');
  video.src = 'clip.webm';
  await video.play();
  await detectFrame(model);
}

start();
