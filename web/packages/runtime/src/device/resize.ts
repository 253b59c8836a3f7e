/**
 * The one resize of training and inference: Pillow's BILINEAR with antialiasing, bit for bit.
 *
 * Width first, then height, with 8-bit values in between and weights as fixed-point integers, as
 * in Pillow's Resample.c. The vectors in contracts/golden/resize.json hold both to the same bytes.
 */

/** 32 bits less 8 for the pixel and 2 of headroom (Pillow's Resample.c). */
const PRECISION_BITS = 22;
const HALF = 1 << (PRECISION_BITS - 1);

/** For each output position of one axis: where its input begins, how many, and their weights. */
export interface AxisPlan {
  readonly starts: Int32Array;
  readonly counts: Int32Array;
  /** `taps` weights for each output position, scaled by 2^22. */
  readonly weights: Int32Array;
  readonly taps: number;
}

/** The triangle filter stretched by the scale when shrinking, which is what antialiases. */
export function planAxis(inputSize: number, outputSize: number): AxisPlan {
  const scale = inputSize / outputSize;
  const support = Math.max(scale, 1);
  const taps = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(outputSize);
  const counts = new Int32Array(outputSize);
  const weights = new Int32Array(outputSize * taps);
  const triangle = new Float64Array(taps);
  for (let position = 0; position < outputSize; position++) {
    const center = (position + 0.5) * scale;
    const start = Math.max(0, Math.trunc(center - support + 0.5));
    const count = Math.min(inputSize, Math.trunc(center + support + 0.5)) - start;
    let total = 0;
    for (let tap = 0; tap < count; tap++) {
      // Pillow multiplies by the reciprocal; dividing differs in the last bit.
      const distance = Math.abs((tap + start - center + 0.5) * (1 / support));
      const weight = distance < 1 ? 1 - distance : 0;
      triangle[tap] = weight;
      total += weight;
    }
    for (let tap = 0; tap < count; tap++) {
      const share = total === 0 ? 0 : (triangle[tap] ?? 0) / total;
      weights[position * taps + tap] = Math.trunc(0.5 + share * (1 << PRECISION_BITS));
    }
    starts[position] = start;
    counts[position] = count;
  }
  return { starts, counts, weights, taps };
}

/** Stretches RGBA images of any size to RGB of one size; plans and buffers are kept. */
export class Resizer {
  readonly width: number;
  readonly height: number;
  #inputWidth = 0;
  #inputHeight = 0;
  #columns: AxisPlan = planAxis(1, 1);
  #rows: AxisPlan = planAxis(1, 1);
  #between = new Uint8Array(0);

  constructor(width: number, height: number) {
    this.width = width;
    this.height = height;
  }

  /** Write (height, width, 3) RGB into `output` from (inputHeight, inputWidth, 4) RGBA. */
  resize(rgba: Uint8Array, inputWidth: number, inputHeight: number, output: Uint8Array): void {
    if (rgba.length < inputWidth * inputHeight * 4) {
      throw new RangeError(`${rgba.length} bytes for ${inputWidth} x ${inputHeight} RGBA pixels`);
    }
    this.#plan(inputWidth, inputHeight);
    const isSameHeight = inputHeight === this.height;
    const between = isSameHeight ? output : this.#between;
    if (inputWidth === this.width) dropAlpha(rgba, between, inputWidth * inputHeight);
    else resizeColumns(rgba, inputWidth, inputHeight, between, this.#columns);
    if (!isSameHeight) resizeRows(between, this.width * 3, output, this.#rows);
  }

  #plan(inputWidth: number, inputHeight: number): void {
    if (inputWidth === this.#inputWidth && inputHeight === this.#inputHeight) return;
    this.#columns = planAxis(inputWidth, this.width);
    this.#rows = planAxis(inputHeight, this.height);
    this.#between = new Uint8Array(inputHeight === this.height ? 0 : this.width * inputHeight * 3);
    this.#inputWidth = inputWidth;
    this.#inputHeight = inputHeight;
  }
}

/** YOLOX's padding. */
const LETTERBOX_GREY = 114;

/** Scales RGBA images by one factor into the upper left of one size of RGB; the rest is grey. */
export class Letterboxer {
  readonly width: number;
  readonly height: number;
  #resizer = new Resizer(1, 1);
  #inner = new Uint8Array(3);

  constructor(width: number, height: number) {
    this.width = width;
    this.height = height;
  }

  /** Write (height, width, 3) RGB into `output` from (inputHeight, inputWidth, 4) RGBA. */
  resize(rgba: Uint8Array, inputWidth: number, inputHeight: number, output: Uint8Array): void {
    const inner = letterboxSize(inputWidth, inputHeight, this.width, this.height);
    if (inner.width !== this.#resizer.width || inner.height !== this.#resizer.height) {
      this.#resizer = new Resizer(inner.width, inner.height);
      this.#inner = new Uint8Array(inner.width * inner.height * 3);
    }
    this.#resizer.resize(rgba, inputWidth, inputHeight, this.#inner);
    output.fill(LETTERBOX_GREY);
    for (let row = 0; row < inner.height; row++) {
      const from = row * inner.width * 3;
      output.set(this.#inner.subarray(from, from + inner.width * 3), row * this.width * 3);
    }
  }
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** The size of an image that is scaled to fit into width x height, rounded down. */
export function letterboxSize(
  imageWidth: number,
  imageHeight: number,
  width: number,
  height: number,
): Size {
  if (imageWidth * height >= imageHeight * width) {
    return { width, height: Math.max(1, Math.floor((imageHeight * width) / imageWidth)) };
  }
  return { width: Math.max(1, Math.floor((imageWidth * height) / imageHeight)), height };
}

// The loops below run a few million times a frame: flat, in 32-bit integers (Math.imul and |0 keep
// the engine from doubles), and without clipping, since the weights are >= 0 and sum to 2^22 within
// a few units, so that no sum can round past 255.

function dropAlpha(rgba: Uint8Array, rgb: Uint8Array, pixels: number): void {
  for (let pixel = 0, from = 0, to = 0; pixel < pixels; pixel++, from += 4, to += 3) {
    rgb[to] = rgba[from] as number;
    rgb[to + 1] = rgba[from + 1] as number;
    rgb[to + 2] = rgba[from + 2] as number;
  }
}

function resizeColumns(
  rgba: Uint8Array,
  inputWidth: number,
  inputHeight: number,
  rgb: Uint8Array,
  plan: AxisPlan,
): void {
  const { starts, counts, weights, taps } = plan;
  const outputWidth = starts.length;
  let to = 0;
  for (let row = 0; row < inputHeight; row++) {
    const rowStart = row * inputWidth;
    for (let column = 0; column < outputWidth; column++) {
      let red = HALF;
      let green = HALF;
      let blue = HALF;
      let from = (rowStart + (starts[column] as number)) << 2;
      let tap = column * taps;
      for (const end = tap + (counts[column] as number); tap < end; tap++, from += 4) {
        const weight = weights[tap] as number;
        red = (red + Math.imul(rgba[from] as number, weight)) | 0;
        green = (green + Math.imul(rgba[from + 1] as number, weight)) | 0;
        blue = (blue + Math.imul(rgba[from + 2] as number, weight)) | 0;
      }
      rgb[to] = red >> PRECISION_BITS;
      rgb[to + 1] = green >> PRECISION_BITS;
      rgb[to + 2] = blue >> PRECISION_BITS;
      to += 3;
    }
  }
}

function resizeRows(from: Uint8Array, rowBytes: number, to: Uint8Array, plan: AxisPlan): void {
  const { starts, counts, weights, taps } = plan;
  const wholeBytes = rowBytes - (rowBytes % 4);
  for (let row = 0; row < starts.length; row++) {
    const firstTap = row * taps;
    const lastTap = firstTap + (counts[row] as number);
    const firstByte = (starts[row] as number) * rowBytes;
    const output = row * rowBytes;
    // Four neighbours at once: half the time of one by one.
    for (let offset = 0; offset < wholeBytes; offset += 4) {
      let sum0 = HALF;
      let sum1 = HALF;
      let sum2 = HALF;
      let sum3 = HALF;
      for (let tap = firstTap, at = firstByte + offset; tap < lastTap; tap++, at += rowBytes) {
        const weight = weights[tap] as number;
        sum0 = (sum0 + Math.imul(from[at] as number, weight)) | 0;
        sum1 = (sum1 + Math.imul(from[at + 1] as number, weight)) | 0;
        sum2 = (sum2 + Math.imul(from[at + 2] as number, weight)) | 0;
        sum3 = (sum3 + Math.imul(from[at + 3] as number, weight)) | 0;
      }
      to[output + offset] = sum0 >> PRECISION_BITS;
      to[output + offset + 1] = sum1 >> PRECISION_BITS;
      to[output + offset + 2] = sum2 >> PRECISION_BITS;
      to[output + offset + 3] = sum3 >> PRECISION_BITS;
    }
    for (let offset = wholeBytes; offset < rowBytes; offset++) {
      let sum = HALF;
      for (let tap = firstTap, at = firstByte + offset; tap < lastTap; tap++, at += rowBytes) {
        sum = (sum + Math.imul(from[at] as number, weights[tap] as number)) | 0;
      }
      to[output + offset] = sum >> PRECISION_BITS;
    }
  }
}
