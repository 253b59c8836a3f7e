/**
 * The loops of ../src/device/resize.ts in AssemblyScript, for WebAssembly with SIMD: a seventh of
 * the time of the same in JavaScript.
 *
 * A plan holds for each output position, in 32-bit words: where its input begins (a byte offset),
 * how many pairs of taps it has, and each pair's weights, first their upper and then their lower
 * bits, two 16-bit numbers in a word. So split, a weight of 22 bits times a byte fits the
 * instruction that multiplies and adds eight at a time, and the sums are exact.
 *
 * Loads and stores run up to 16 bytes past the end of images, and past the last row of resizeRows'
 * input by another: whoever lays out the memory leaves room.
 */

/** Bits of a weight's lower part. */
const LOWER_BITS: i32 = 11;
const PRECISION_BITS: i32 = 22;
const HALF: i32 = 1 << (PRECISION_BITS - 1);
/** Bytes of a position's first two words, and of a pair of taps. */
const HEAD: usize = 8;
const PAIR: usize = 8;

/** (height, width, 4) RGBA to (height, outputWidth, 3) RGB. */
export function resizeColumns(
  rgba: usize,
  width: usize,
  height: usize,
  plan: usize,
  outputWidth: usize,
  rgb: usize,
): void {
  const zero = i32x4.splat(0);
  for (const imageEnd = rgba + height * width * 4; rgba < imageEnd; rgba += width * 4) {
    let at = plan;
    for (let column: usize = 0; column < outputWidth; column++) {
      let from = rgba + <usize>load<u32>(at);
      const end = at + HEAD + <usize>load<u32>(at, 4) * PAIR;
      let upper = zero;
      let lower = zero;
      for (at += HEAD; at < end; at += PAIR, from += 8) {
        const pixels = v128.load_zero<u64>(from);
        // biome-ignore format: lanes in a row
        const taps = v128.shuffle<u8>(
          pixels, zero, 0, 16, 4, 16, 1, 16, 5, 16, 2, 16, 6, 16, 3, 16, 7, 16,
        );
        upper = i32x4.add(upper, i32x4.dot_i16x8_s(taps, v128.load_splat<u32>(at)));
        lower = i32x4.add(lower, i32x4.dot_i16x8_s(taps, v128.load_splat<u32>(at, 4)));
      }
      const sum = total(upper, lower);
      const bytes = i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(sum, sum), zero);
      v128.store_lane<u32>(rgb, bytes, 0); // the fourth byte is the next pixel's first
      rgb += 3;
    }
  }
}

/** Rows of bytes to `outputHeight` of them. */
export function resizeRows(
  input: usize,
  rowBytes: usize,
  plan: usize,
  outputHeight: usize,
  output: usize,
): void {
  for (let row: usize = 0; row < outputHeight; row++) {
    const first = input + <usize>load<u32>(plan);
    const end = plan + HEAD + <usize>load<u32>(plan, 4) * PAIR;
    for (let offset: usize = 0; offset < rowBytes; offset += 16) {
      const sum = sumColumn(first + offset, rowBytes, plan + HEAD, end);
      v128.store(output + offset, sum);
    }
    plan = end;
    output += rowBytes;
  }
}

/** 16 bytes' weighted sums over rows. */
function sumColumn(from: usize, rowBytes: usize, at: usize, end: usize): v128 {
  const zero = i32x4.splat(0);
  let upper0 = zero;
  let upper1 = zero;
  let upper2 = zero;
  let upper3 = zero;
  let lower0 = zero;
  let lower1 = zero;
  let lower2 = zero;
  let lower3 = zero;
  for (; at < end; at += PAIR, from += rowBytes << 1) {
    const row = v128.load(from);
    const next = v128.load(from + rowBytes);
    // biome-ignore format: lanes in a row
    const left = v128.shuffle<u8>(
      row, next, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23,
    );
    // biome-ignore format: lanes in a row
    const right = v128.shuffle<u8>(
      row, next, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31,
    );
    const taps0 = i16x8.extend_low_i8x16_u(left);
    const taps1 = i16x8.extend_high_i8x16_u(left);
    const taps2 = i16x8.extend_low_i8x16_u(right);
    const taps3 = i16x8.extend_high_i8x16_u(right);
    const upper = v128.load_splat<u32>(at);
    const lower = v128.load_splat<u32>(at, 4);
    upper0 = i32x4.add(upper0, i32x4.dot_i16x8_s(taps0, upper));
    upper1 = i32x4.add(upper1, i32x4.dot_i16x8_s(taps1, upper));
    upper2 = i32x4.add(upper2, i32x4.dot_i16x8_s(taps2, upper));
    upper3 = i32x4.add(upper3, i32x4.dot_i16x8_s(taps3, upper));
    lower0 = i32x4.add(lower0, i32x4.dot_i16x8_s(taps0, lower));
    lower1 = i32x4.add(lower1, i32x4.dot_i16x8_s(taps1, lower));
    lower2 = i32x4.add(lower2, i32x4.dot_i16x8_s(taps2, lower));
    lower3 = i32x4.add(lower3, i32x4.dot_i16x8_s(taps3, lower));
  }
  return i8x16.narrow_i16x8_u(
    i16x8.narrow_i32x4_s(total(upper0, lower0), total(upper1, lower1)),
    i16x8.narrow_i32x4_s(total(upper2, lower2), total(upper3, lower3)),
  );
}

/** RGBA to RGB. */
export function dropAlpha(rgba: usize, pixels: usize, rgb: usize): void {
  for (const end = rgba + (pixels << 2); rgba < end; rgba += 16, rgb += 12) {
    const four = v128.load(rgba);
    // biome-ignore format: lanes in a row
    const bytes = v128.shuffle<u8>(
      four, four, 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 3, 7, 11, 15,
    );
    v128.store(rgb, bytes);
  }
}

/** Four sums of both parts, rounded to pixels. */
function total(upper: v128, lower: v128): v128 {
  const sum = i32x4.add(i32x4.add(i32x4.shl(upper, LOWER_BITS), lower), i32x4.splat(HALF));
  return i32x4.shr_u(sum, PRECISION_BITS);
}
