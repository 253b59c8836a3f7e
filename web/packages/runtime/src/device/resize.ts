/**
 * The one resize of training and inference: Pillow's BILINEAR with antialiasing, bit for bit.
 *
 * Width first, then height, with 8-bit values in between and weights as fixed-point integers, as
 * in Pillow's Resample.c. The vectors in contracts/golden/resize.json hold both to the same bytes.
 * What is planned here is done in assembly/resize.ts.
 */
import { bytes } from "../../assembly/resize.ts?wasm";

/** 32 bits less 8 for the pixel and 2 of headroom (Pillow's Resample.c). */
const PRECISION_BITS = 22;
/** The kernel takes weights in two parts; this is the lower one's. */
const LOWER_BITS = 11;

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

/** The module of assembly/resize.ts, with a memory of its own. Offsets and sizes are bytes. */
interface Kernel {
  readonly memory: WebAssembly.Memory;
  resizeColumns(
    rgba: number,
    width: number,
    height: number,
    plan: number,
    outputWidth: number,
    rgb: number,
  ): void;
  resizeRows(
    input: number,
    rowBytes: number,
    plan: number,
    outputHeight: number,
    output: number,
  ): void;
  dropAlpha(rgba: number, pixels: number, rgb: number): void;
}

const PAGE_BYTES = 65536;
/** What the kernel may read and write past an end. */
const MARGIN = 16;
/** Memory never shrinks: of more than so many times what is needed, a fresh one is taken. */
const MOST_SPARE = 4;

let compiled: WebAssembly.Module | undefined;

function openKernel(): Kernel {
  compiled ??= new WebAssembly.Module(bytes);
  return new WebAssembly.Instance(compiled).exports as unknown as Kernel;
}

/** Stretches RGBA images of any size to RGB of one size; plans and memory are kept. */
export class Resizer {
  readonly width: number;
  readonly height: number;
  #kernel = openKernel();
  #inputWidth = 0;
  #inputHeight = 0;
  /** Where the parts lie in the kernel's memory. */
  #rgba = 0;
  #columns = 0;
  #rows = 0;
  #between = 0;
  #output = 0;

  constructor(width: number, height: number) {
    this.width = width;
    this.height = height;
  }

  /** (inputHeight, inputWidth, 4): where the next image's RGBA goes. Holds until the next call. */
  room(inputWidth: number, inputHeight: number): Uint8Array<ArrayBuffer> {
    if (inputWidth !== this.#inputWidth || inputHeight !== this.#inputHeight) {
      this.#plan(inputWidth, inputHeight);
    }
    return this.#view(this.#rgba, inputWidth * inputHeight * 4);
  }

  /** Write (height, width, 3) RGB into `output` from the image in `room`. */
  resize(output: Uint8Array): void {
    const { width, height } = this;
    const [inputWidth, inputHeight] = [this.#inputWidth, this.#inputHeight];
    const kernel = this.#kernel;
    const between = inputHeight === height ? this.#output : this.#between;
    if (inputWidth === width) kernel.dropAlpha(this.#rgba, width * inputHeight, between);
    else {
      kernel.resizeColumns(this.#rgba, inputWidth, inputHeight, this.#columns, width, between);
    }
    if (inputHeight !== height) {
      kernel.resizeRows(between, width * 3, this.#rows, height, this.#output);
    }
    output.set(this.#view(this.#output, width * height * 3));
  }

  #plan(inputWidth: number, inputHeight: number): void {
    const { width, height } = this;
    this.#inputWidth = 0; // no plan holds any more, should there be no memory for this one
    const columns = packPlan(planAxis(inputWidth, width), 4);
    const rows = packPlan(planAxis(inputHeight, height), width * 3);
    let end = 0;
    const place = (bytes: number): number => {
      const start = end;
      end = Math.ceil((start + bytes + MARGIN) / MARGIN) * MARGIN;
      return start;
    };
    this.#columns = place(columns.byteLength);
    this.#rows = place(rows.byteLength);
    this.#rgba = place(inputWidth * inputHeight * 4);
    this.#between = place(width * 3 * (inputHeight + 1));
    this.#output = place(width * height * 3);
    this.#reserve(end);
    this.#view(this.#columns, columns.byteLength).set(new Uint8Array(columns.buffer));
    this.#view(this.#rows, rows.byteLength).set(new Uint8Array(rows.buffer));
    this.#inputWidth = inputWidth;
    this.#inputHeight = inputHeight;
  }

  #reserve(bytes: number): void {
    if (this.#kernel.memory.buffer.byteLength > MOST_SPARE * bytes) this.#kernel = openKernel();
    const { memory } = this.#kernel;
    const missing = bytes - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / PAGE_BYTES));
  }

  #view(start: number, bytes: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#kernel.memory.buffer as ArrayBuffer, start, bytes);
  }
}

/** A plan as the kernel reads it; input positions are `stride` bytes apart. */
function packPlan({ starts, counts, weights, taps }: AxisPlan, stride: number): Int32Array {
  const lower = (1 << LOWER_BITS) - 1;
  const words: number[] = [];
  for (const [position, start] of starts.entries()) {
    const first = position * taps;
    const end = first + (counts[position] as number);
    words.push(start * stride, Math.ceil((end - first) / 2));
    for (let tap = first; tap < end; tap += 2) {
      const weight = weights[tap] as number;
      const next = tap + 1 < end ? (weights[tap + 1] as number) : 0;
      words.push((weight >> LOWER_BITS) | ((next >> LOWER_BITS) << 16));
      words.push((weight & lower) | ((next & lower) << 16));
    }
  }
  return Int32Array.from(words);
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

  /** (inputHeight, inputWidth, 4): where the next image's RGBA goes. Holds until the next call. */
  room(inputWidth: number, inputHeight: number): Uint8Array<ArrayBuffer> {
    const inner = letterboxSize(inputWidth, inputHeight, this.width, this.height);
    if (inner.width !== this.#resizer.width || inner.height !== this.#resizer.height) {
      this.#resizer = new Resizer(inner.width, inner.height);
      this.#inner = new Uint8Array(inner.width * inner.height * 3);
    }
    return this.#resizer.room(inputWidth, inputHeight);
  }

  /** Write (height, width, 3) RGB into `output` from the image in `room`. */
  resize(output: Uint8Array): void {
    const { width, height } = this.#resizer;
    this.#resizer.resize(this.#inner);
    output.fill(LETTERBOX_GREY);
    for (let row = 0; row < height; row++) {
      const from = row * width * 3;
      output.set(this.#inner.subarray(from, from + width * 3), row * this.width * 3);
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
