/** Whether another backend finds on the same pixels what wasm finds. Typed arrays only. */
import type { GraphOutputs } from "./postprocess";

const SCORE_TOLERANCE = 0.01;
const LEAST_IOU = 0.9;

/**
 * The first difference in words, or null: all scores in their order, and the label and box of each
 * detection from `threshold` on; of the best candidate where none reaches it.
 */
export function findDifference(
  expected: GraphOutputs,
  found: GraphOutputs,
  threshold: number,
): string | null {
  if (found.scores.length !== expected.scores.length) {
    return `${found.scores.length} candidates, ${expected.scores.length} on wasm`;
  }
  for (const [index, score] of expected.scores.entries()) {
    const other = found.scores[index] as number;
    if (!(Math.abs(other - score) <= SCORE_TOLERANCE)) {
      return `candidate ${index} has score ${other.toFixed(3)}, ${score.toFixed(3)} on wasm`;
    }
  }
  const least = Math.min(threshold, expected.scores[0] ?? 0);
  return findUnmatched(expected, found, least) ?? findUnmatched(found, expected, least);
}

/** A detection of `all` from `least` on that has no counterpart in `others`. */
function findUnmatched(all: GraphOutputs, others: GraphOutputs, least: number): string | null {
  for (const [index, score] of all.scores.entries()) {
    if (score < least) break;
    const hasMatch = others.scores.some(
      (other, candidate) =>
        Math.abs(other - score) <= SCORE_TOLERANCE &&
        others.labelIds[candidate] === all.labelIds[index] &&
        overlap(all.boxesXyxyNorm, index, others.boxesXyxyNorm, candidate) >= LEAST_IOU,
    );
    if (!hasMatch) return `the box of score ${score.toFixed(3)} lies elsewhere on wasm`;
  }
  return null;
}

/** Intersection over union of a's box and b's; NaN where a box is none. */
function overlap(a: Float32Array, atA: number, b: Float32Array, atB: number): number {
  const edge = (boxes: Float32Array, at: number, offset: number) =>
    boxes[at * 4 + offset] as number;
  const side = (offset: number): [shared: number, ofA: number, ofB: number] => {
    const [a1, a2] = [edge(a, atA, offset), edge(a, atA, offset + 2)];
    const [b1, b2] = [edge(b, atB, offset), edge(b, atB, offset + 2)];
    return [Math.max(0, Math.min(a2, b2) - Math.max(a1, b1)), a2 - a1, b2 - b1];
  };
  const [width, widthA, widthB] = side(0);
  const [height, heightA, heightB] = side(1);
  const shared = width * height;
  return shared / (widthA * heightA + widthB * heightB - shared);
}

/** (height, width, 3) RGB to compare on where there is no frame yet: shapes on a gradient. */
export function drawTestPicture(width: number, height: number): Uint8Array<ArrayBuffer> {
  const pixels = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [across, down] = [x / width, y / height];
      const isDisc = Math.hypot(across - 0.3, (down - 0.4) * 1.2) < 0.18;
      const isBar = across > 0.6 && across < 0.8 && down > 0.3 && down < 0.9;
      const at = (y * width + x) * 3;
      pixels[at] = isDisc ? 220 : isBar ? 40 : 90 + 80 * across;
      pixels[at + 1] = isDisc ? 120 : isBar ? 70 : 110 + 60 * down;
      pixels[at + 2] = isDisc ? 30 : isBar ? 160 : 150 - 70 * across;
    }
  }
  return pixels;
}
