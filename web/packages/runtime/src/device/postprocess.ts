/**
 * The step after the graph: threshold, NMS if the model wants it, pixels. Typed arrays only.
 *
 * Python does the same in sightline/runtime/postprocess.py; contracts/golden/postprocess.json holds
 * vectors for both. The threshold is compared in float32, IoU is computed in float64, pixels are
 * float32 products with sizes rounded to float32.
 */

import { letterboxSize, type Size } from "./resize";

/** Best score first: (N, 4) xyxy, (N,) scores, (N,) indices into the labels. */
export interface RawDetections {
  readonly boxesXyxy: Float32Array<ArrayBuffer>;
  readonly scores: Float32Array<ArrayBuffer>;
  readonly labelIds: Int32Array<ArrayBuffer>;
}

/** The graph's outputs for one image: (K, 4) corners in 0..1, (K,) sorted scores, (K,) labels. */
export interface GraphOutputs {
  readonly boxesXyxyNorm: Float32Array;
  readonly scores: Float32Array;
  readonly labelIds: Int32Array;
}

export interface PostprocessOptions {
  /** A score counts when >= this. */
  readonly threshold: number;
  readonly nmsIou: number | null;
  /** How many of the image's pixels 0..1 spans: its size, or what `letterboxSpan` says. */
  readonly width: number;
  readonly height: number;
}

export function postprocess(outputs: GraphOutputs, options: PostprocessOptions): RawDetections {
  const least = Math.fround(options.threshold);
  let kept: number[] = [];
  outputs.scores.forEach((score, index) => {
    if (score >= least) kept.push(index);
  });
  if (options.nmsIou !== null) kept = suppressPerClass(outputs, kept, options.nmsIou);
  const boxesXyxy = new Float32Array(kept.length * 4);
  const scores = new Float32Array(kept.length);
  const labelIds = new Int32Array(kept.length);
  const [width, height] = [Math.fround(options.width), Math.fround(options.height)];
  kept.forEach((index, position) => {
    for (let edge = 0; edge < 4; edge++) {
      const size = edge % 2 === 0 ? width : height;
      boxesXyxy[position * 4 + edge] = (outputs.boxesXyxyNorm[index * 4 + edge] as number) * size;
    }
    scores[position] = outputs.scores[index] as number;
    labelIds[position] = outputs.labelIds[index] as number;
  });
  return { boxesXyxy, scores, labelIds };
}

/**
 * How many pixels of a letterboxed image lie along the edges of the graph's `input`, where the
 * image is `shown` in another size than its pixels' too (anamorphic video).
 *
 * More than the image has along the padded edge: 0..1 of the graph's boxes spans the padding too.
 */
export function letterboxSpan(image: Size, input: Size, shown: Size = image): Size {
  const inner = letterboxSize(image.width, image.height, input.width, input.height);
  return {
    width: (shown.width * input.width) / inner.width,
    height: (shown.height * input.height) / inner.height,
  };
}

/** Greedy NMS: of two boxes of one class with IoU > `iou` the better, the earlier of equals. */
function suppressPerClass(outputs: GraphOutputs, candidates: number[], iou: number): number[] {
  const { boxesXyxyNorm, scores, labelIds } = outputs;
  const score = (index: number) => scores[index] as number;
  const kept: number[] = [];
  for (const index of [...candidates].sort((a, b) => score(b) - score(a))) {
    const isDuplicate = kept.some(
      (better) =>
        labelIds[better] === labelIds[index] && overlap(boxesXyxyNorm, better, index) > iou,
    );
    if (!isDuplicate) kept.push(index);
  }
  return kept;
}

/** Intersection over union of boxes `a` and `b`; 0 where the union is empty. */
function overlap(boxesXyxy: Float32Array, a: number, b: number): number {
  const [ax1, ay1, ax2, ay2] = boxesXyxy.subarray(a * 4, a * 4 + 4) as unknown as Corners;
  const [bx1, by1, bx2, by2] = boxesXyxy.subarray(b * 4, b * 4 + 4) as unknown as Corners;
  const shared =
    Math.max(0, Math.min(ax2, bx2) - Math.max(ax1, bx1)) *
    Math.max(0, Math.min(ay2, by2) - Math.max(ay1, by1));
  const areaA = Math.max(0, ax2 - ax1) * Math.max(0, ay2 - ay1);
  const areaB = Math.max(0, bx2 - bx1) * Math.max(0, by2 - by1);
  const union = areaA + areaB - shared;
  return union > 0 ? shared / union : 0;
}

type Corners = readonly [number, number, number, number];
