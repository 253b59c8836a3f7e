/**
 * Whether a stream's picture has changed enough to look at it again.
 *
 * Two small pictures are kept: the present, which follows the stream slowly, so that noise and
 * flicker cancel out; and what the present was when a frame was last let through. The second moves
 * only then, so that change adds up however slow it is. One change of brightness all over the
 * picture is no motion. The same as sightline/runtime/motion.py, which gives the reasons for each
 * constant; contracts/golden/motion.json holds vectors for both.
 */

// Cells along the longer side.
const GRID = 64;
// How slowly the present follows: it comes 63 % nearer in so many seconds.
const FOLLOW_S = 0.25;
// Of 255, how much a cell may differ, and the share of all cells that must differ by more.
const LEAST_STEP = 6;
const LEAST_SHARE = 0.003;
// Cameras change their exposure; by more than this factor or this sum, it is a change of scene.
const MOST_GAIN = 2;
const MOST_OFFSET = 48;
// Darker cells have no ratio to speak of; of brighter ones part may be cut off at white.
const DARK = 16;
const BRIGHT = 235;
// A still stream is looked at so often all the same: no gate sees everything.
const REST_S = 5;

/** (height, width) greys, 0..255. */
export interface GreyImage {
  readonly grey: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** One stream's memory of what its picture looked like. */
export class MotionGate {
  /** Of the change that is asked for by default, how many times as much is. */
  factor: number;
  #width = 0;
  #height = 0;
  #present = new Float64Array(0);
  /** The present, when a frame was last let through. */
  #lookedAt = new Float64Array(0);
  #timeS = 0;
  #restS = 0;

  constructor(factor = 1) {
    this.factor = factor;
  }

  /**
   * Whether to look at a picture, (height, width, 4) RGBA bytes: it differs from what was last let
   * through.
   *
   * The first does, one of another shape, and one after 5 s of stillness. timeS: of the frame, by
   * any clock; one that goes back stands still for a frame.
   */
  hasMoved(rgba: Bytes, width: number, height: number, timeS: number): boolean {
    const small = shrink(rgba, width, height);
    return this.hasChanged(small.grey, small.width, small.height, timeS);
  }

  /** `hasMoved` for a picture that `shrink` has made: (height, width) greys. */
  hasChanged(grey: Uint8Array, width: number, height: number, timeS: number): boolean {
    const seen = blur(grey, width, height);
    if (this.#width !== width || this.#height !== height) {
      [this.#width, this.#height] = [width, height];
      this.#present = seen;
      this.#lookedAt = seen.slice();
      [this.#timeS, this.#restS] = [timeS, 0];
      return true;
    }
    const stepS = Math.max(0, timeS - this.#timeS);
    this.#timeS = timeS;
    this.#restS += stepS;
    const share = 1 - Math.exp(-stepS / FOLLOW_S);
    for (let cell = 0; cell < seen.length; cell++) {
      const present = this.#present[cell] as number;
      this.#present[cell] = present + ((seen[cell] as number) - present) * share;
    }
    const changed = changedShare(this.#lookedAt, this.#present);
    if (changed <= LEAST_SHARE * this.factor && this.#restS < REST_S) return false;
    this.#lookedAt.set(this.#present);
    this.#restS = 0;
    return true;
  }

  /** Forget the stream: the next picture is looked at. */
  reset(): void {
    [this.#width, this.#height] = [0, 0];
  }
}

type Bytes = Uint8Array | Uint8ClampedArray;

/**
 * The greys of an RGBA picture, the longer side of 64 cells at most.
 *
 * Each is the mean of 4 x 4 pixels or so, evenly picked. Pillow's bytes: its nearest resize, its
 * convert("L"), its reduce. Alpha is not looked at.
 */
export function shrink(rgba: Bytes, width: number, height: number): GreyImage {
  const step = Math.max(1, Math.floor(Math.max(width, height) / (GRID * 4)));
  const across = pickEvenly(width, Math.max(1, Math.floor(width / step)));
  const down = pickEvenly(height, Math.max(1, Math.floor(height / step)));
  const factor = Math.ceil(Math.max(across.length, down.length) / GRID);
  const columns = Math.ceil(across.length / factor);
  const rows = Math.ceil(down.length / factor);
  const sums = new Uint32Array(columns);
  const grey = new Uint8Array(columns * rows);
  for (let row = 0; row < rows; row++) {
    const bottom = Math.min((row + 1) * factor, down.length);
    sums.fill(0);
    for (let y = row * factor; y < bottom; y++) {
      const line = (down[y] as number) * width;
      for (let x = 0; x < across.length; x++) {
        const pixel = (line + (across[x] as number)) * 4;
        // BT.601, as Pillow's integers.
        const luma =
          ((rgba[pixel] as number) * 19595 +
            (rgba[pixel + 1] as number) * 38470 +
            (rgba[pixel + 2] as number) * 7471 +
            0x8000) >>
          16;
        const column = Math.floor(x / factor);
        sums[column] = (sums[column] as number) + luma;
      }
    }
    for (let column = 0; column < columns; column++) {
      const right = Math.min((column + 1) * factor, across.length);
      const count = (right - column * factor) * (bottom - row * factor);
      // Pillow's division by a constant, half up but for the last bit of the reciprocal.
      const reciprocal = Math.floor(2 ** 24 / count);
      const sum = (sums[column] as number) + Math.floor(count / 2);
      grey[row * columns + column] = Math.imul(sum, reciprocal) >>> 24;
    }
  }
  return { grey, width: columns, height: rows };
}

/** `count` indices into `length` things, from the middle of each of as many even parts. */
function pickEvenly(length: number, count: number): Int32Array {
  const picked = new Int32Array(count);
  const stride = length / count;
  let position = stride / 2;
  for (let index = 0; index < count; index++) {
    picked[index] = Math.floor(position);
    position += stride; // added up, as Pillow does
  }
  return picked;
}

/** (height, width) means of 3 x 3 cells weighted 1-2-1 each way; the border is repeated outwards. */
export function blur(grey: Uint8Array, width: number, height: number): Float64Array<ArrayBuffer> {
  const blurred = new Float64Array(width * height);
  const line = new Uint16Array(width);
  for (let y = 0; y < height; y++) {
    const here = y * width;
    const above = Math.max(0, y - 1) * width;
    const below = Math.min(height - 1, y + 1) * width;
    for (let x = 0; x < width; x++) {
      line[x] =
        (grey[above + x] as number) + 2 * (grey[here + x] as number) + (grey[below + x] as number);
    }
    for (let x = 0; x < width; x++) {
      const left = line[Math.max(0, x - 1)] as number;
      const right = line[Math.min(width - 1, x + 1)] as number;
      blurred[here + x] = (left + 2 * (line[x] as number) + right) / 16;
    }
  }
  return blurred;
}

/**
 * The share of cells, 0..1, that no one change of brightness all over explains.
 *
 * Tried are one factor and one sum, each the median over the cells that tell it.
 */
export function changedShare(before: Float64Array, now: Float64Array): number {
  const gains = new Float64Array(now.length);
  const offsets = new Float64Array(now.length);
  let telling = 0;
  for (let cell = 0; cell < now.length; cell++) {
    const [was, is] = [before[cell] as number, now[cell] as number];
    if (was < DARK || was > BRIGHT || is > BRIGHT) continue;
    gains[telling] = is / was;
    offsets[telling] = is - was;
    telling += 1;
  }
  let gain = 1;
  let offset = 0;
  if (telling > 0) {
    gain = clamp(median(gains.subarray(0, telling)), 1 / MOST_GAIN, MOST_GAIN);
    offset = clamp(median(offsets.subarray(0, telling)), -MOST_OFFSET, MOST_OFFSET);
  }
  return (
    Math.min(countDiffering(before, now, gain, 0), countDiffering(before, now, 1, offset)) /
    now.length
  );
}

/** How many cells are not as expected: `gain` times what they were, plus `offset`. */
function countDiffering(
  before: Float64Array,
  now: Float64Array,
  gain: number,
  offset: number,
): number {
  let count = 0;
  for (let cell = 0; cell < now.length; cell++) {
    const [was, is] = [before[cell] as number, now[cell] as number];
    const expected = was * gain + offset;
    // What is cut off may have been brighter by any amount, and may be expected to be.
    const isAbove = is - expected > LEAST_STEP && was <= BRIGHT;
    const isBelow = expected - is > LEAST_STEP && is <= BRIGHT;
    if (isAbove || isBelow) count += 1;
  }
  return count;
}

/** Sorts the values. */
function median(values: Float64Array): number {
  values.sort();
  const middle = values.length >> 1;
  const upper = values[middle] as number;
  return values.length % 2 === 1 ? upper : ((values[middle - 1] as number) + upper) / 2;
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most);
}
