// The page of the 2021 article (an object detector of one's own in the browser with TensorFlow.js),
// written anew around the same calls. Of a page for a model made by its recipe three things change:
// the address of the model, the place of each output and the names of the classes.
import '@tensorflow/tfjs-backend-cpu';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import '@tensorflow/tfjs-backend-webgl';
import { loadGraphModel } from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
// What the package @tensorflow/tfjs adds: operations as methods of a tensor.
import '@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops';

// Another server's, where the address of the page names one.
const MODEL_URL = new URLSearchParams(location.search).get('model') ?? 'model/model.json';
const BOXES = 0;
const SCORES = 1;
const CLASSES = 2;

const threshold = 0.5;
const video = document.getElementById('frame');

function processInput(video) {
  const image = tf.browser.fromPixels(video).toInt();
  return image.transpose([0, 1, 2]).expandDims();
}

function buildDetectedObjects(scores, boxes, classes, classesDir) {
  const found = [];
  scores[0].forEach((score, i) => {
    if (score > threshold) {
      const [minY, minX, maxY, maxX] = boxes[0][i];
      const x = minX * video.naturalWidth;
      const y = minY * video.naturalHeight;
      const bbox = [x, y, maxX * video.naturalWidth - x, maxY * video.naturalHeight - y];
      found.push({ class: classes[i], label: classesDir[classes[i]].name, score, bbox });
    }
  });
  return found;
}

function render(found) {
  const canvas = document.getElementById('canvas');
  canvas.width = video.naturalWidth;
  canvas.height = video.naturalHeight;
  const context = canvas.getContext('2d');
  context.drawImage(video, 0, 0);
  for (const { label, score, bbox } of found) {
    context.strokeRect(...bbox);
    context.fillText(`${label} ${(100 * score).toFixed(2)}%`, bbox[0], bbox[1]);
  }
}

async function detectFrame(video, model, classesDir) {
  tf.engine().startScope();
  const predictions = await model.executeAsync(processInput(video));
  const boxes = predictions[BOXES].arraySync();
  const scores = predictions[SCORES].arraySync();
  const classes = predictions[CLASSES].dataSync();
  const found = buildDetectedObjects(scores, boxes, classes, classesDir);
  tf.engine().endScope();
  render(found);
  return found;
}

// What the test calls: several frames of one picture, as a video has.
window.detectPhoto = async function detectPhoto(backend, photo, classesDir, frames) {
  setWasmPaths('wasm/');
  await tf.setBackend(backend);
  const model = await loadGraphModel(MODEL_URL);
  video.src = photo;
  await video.decode();
  const found = [];
  for (let count = 0; count < frames; count++) {
    found.push(await detectFrame(video, model, classesDir));
  }
  return { backend: tf.getBackend(), outputs: model.outputNodes, found };
};
