/**
 * Boxes that stand still where their objects do, and go along where they go.
 *
 * One Euro filter (Casiez, Roussel, Vogel: 1€ Filter, CHI 2012) on the centre and the size of each
 * numbered box: a low-pass filter that opens the faster something moves. Speeds are in boxes a
 * second, so the same object is treated alike near and far, in large pictures and small ones.
 */
import type { Detection } from "../device/detector";

// Chosen on tracked boxes of the smallest model in two real clips, bottles at 30 frames a second and
// people at 10. What stands still (under .08 boxes a second) moves by .054 % of its size from frame
// to frame instead of .189, and .132 instead of .241; what moves (over .4) lags by 8 and 15 ms.
// Twice the lowest cut-off (1 Hz) leaves .063 and .147 at the same lag; less opening, 3 a box, lags
// by 21 and 35 ms and is no stiller.
const LEAST_CUTOFF_HZ = 0.5;
const OPENING = 10; // cycles for each box of way: the paper's beta
const SPEED_CUTOFF_HZ = 1; // as in the paper
// Overlap with the smoothed box below which the object is taken to have jumped.
const LEAST_IOU = 0.3;
// How long an object is remembered that is not seen.
const LIFE_MS = 1000;

/** One stream's boxes. */
export class BoxSmoother {
  readonly #filters = new Map<number, BoxFilter>();

  /**
   * The detections with smoothed boxes, in their order.
   *
   * A box is as it is where its object is new, has jumped, or has no id. timeMs: of the frame, by
   * any clock; one that does not go on starts anew.
   */
  smooth(detections: readonly Detection[], timeMs: number): Detection[] {
    const smoothed = detections.map((detection) => {
      if (detection.id === undefined) return detection;
      let filter = this.#filters.get(detection.id);
      if (filter === undefined || !filter.follow(detection.boxXyxy, timeMs)) {
        filter = new BoxFilter(detection.boxXyxy, timeMs);
        this.#filters.set(detection.id, filter);
      }
      return { ...detection, boxXyxy: filter.boxXyxy() };
    });
    for (const [id, filter] of this.#filters) {
      if (Math.abs(timeMs - filter.timeMs) > LIFE_MS) this.#filters.delete(id);
    }
    return smoothed;
  }
}

type Box = Detection["boxXyxy"];

/** One object: centre x and y, width, height. */
class BoxFilter {
  timeMs: number;
  readonly #values: Float64Array;
  readonly #speeds = new Float64Array(4); // smoothed, in boxes a second
  #seen: Float64Array;

  constructor(box: Box, timeMs: number) {
    this.timeMs = timeMs;
    this.#values = toCentred(box);
    this.#seen = this.#values.slice();
  }

  /** Go on to the next box; false where it does not go on from this one. */
  follow(box: Box, timeMs: number): boolean {
    const stepS = (timeMs - this.timeMs) / 1000;
    if (stepS <= 0 || timeMs - this.timeMs > LIFE_MS) return false;
    if (overlap(this.boxXyxy(), box) < LEAST_IOU) return false;
    const seen = toCentred(box);
    const values = this.#values;
    const scale = Math.sqrt((values[2] as number) * (values[3] as number));
    for (let index = 0; index < 4; index++) {
      const now = seen[index] as number;
      const speed = (now - (this.#seen[index] as number)) / stepS / scale;
      const known = this.#speeds[index] as number;
      const smoothed = known + nearing(SPEED_CUTOFF_HZ, stepS) * (speed - known);
      this.#speeds[index] = smoothed;
      const cutoff = LEAST_CUTOFF_HZ + OPENING * Math.abs(smoothed);
      const value = values[index] as number;
      values[index] = value + nearing(cutoff, stepS) * (now - value);
    }
    this.#seen = seen;
    this.timeMs = timeMs;
    return true;
  }

  boxXyxy(): Box {
    const [x, y, width, height] = this.#values as unknown as Box;
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2];
  }
}

/** The share of the way that a low-pass filter goes in a step (section 3 of the paper). */
function nearing(cutoffHz: number, stepS: number): number {
  const constantS = 1 / (2 * Math.PI * cutoffHz);
  return stepS / (stepS + constantS);
}

function toCentred([x1, y1, x2, y2]: Box): Float64Array {
  return new Float64Array([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]);
}

/** Intersection over union; 0 where the union is empty. */
function overlap([ax1, ay1, ax2, ay2]: Box, [bx1, by1, bx2, by2]: Box): number {
  const shared =
    Math.max(0, Math.min(ax2, bx2) - Math.max(ax1, bx1)) *
    Math.max(0, Math.min(ay2, by2) - Math.max(ay1, by1));
  const union = (ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - shared;
  return union > 0 ? shared / union : 0;
}
