import { describe, expect, it } from "vitest";
import golden from "../../../../../contracts/golden/resize.json";
import { sha256Hex } from "../model/sha256";
import { type AxisPlan, Letterboxer, planAxis, Resizer } from "./resize";

/** The golden file's noise, with an alpha channel of any value: alpha must not matter. */
function drawPixels(width: number, height: number, seed: number, contrast: string): Uint8Array {
  const rgba = new Uint8Array(width * height * 4).fill(77);
  for (let index = 0; index < width * height * 3; index++) {
    let value = (Math.imul(index, 2654435761) + seed) >>> 0;
    value = (value ^ (value >>> 15)) >>> 0;
    value = Math.imul(value, 2246822519) >>> 0;
    value = (value ^ (value >>> 13)) >>> 0;
    const noise = value >>> 24;
    const byte = contrast === "extremes" ? (noise < 128 ? 0 : 255) : noise;
    rgba[Math.floor(index / 3) * 4 + (index % 3)] = byte;
  }
  return rgba;
}

/** Integers from 1 to `most`. */
function randomIntegers(seed: number): (most: number) => number {
  let state = seed;
  return (most) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return 1 + ((state >>> 8) % most);
  };
}

function resizePlainly(
  rgba: Uint8Array,
  width: number,
  height: number,
  toWidth: number,
  toHeight: number,
): Uint8Array {
  const sum = (plan: AxisPlan, position: number, at: (input: number) => number): number => {
    let total = 2 ** 21;
    for (let tap = 0; tap < (plan.counts[position] ?? 0); tap++) {
      const weight = plan.weights[position * plan.taps + tap] ?? 0;
      total += at((plan.starts[position] ?? 0) + tap) * weight;
    }
    return Math.floor(total / 2 ** 22);
  };
  const [columns, rows] = [planAxis(width, toWidth), planAxis(height, toHeight)];
  const between = Uint8Array.from({ length: height * toWidth * 3 }, (_, index) => {
    const [row, column, channel] = [
      Math.floor(index / toWidth / 3),
      Math.floor(index / 3),
      index % 3,
    ];
    return sum(columns, column % toWidth, (x) => rgba[(row * width + x) * 4 + channel] ?? 0);
  });
  return Uint8Array.from({ length: toHeight * toWidth * 3 }, (_, index) => {
    const row = Math.floor(index / toWidth / 3);
    const offset = index % (toWidth * 3);
    return sum(rows, row, (y) => between[y * toWidth * 3 + offset] ?? 0);
  });
}

describe("Resizer", () => {
  it.each(golden.cases)("gives Pillow's bytes: $name", (item) => {
    const pixels = drawPixels(item.width, item.height, item.seed, item.contrast);
    const rgb = new Uint8Array(item.out_width * item.out_height * 3);
    const resizer = new Resizer(item.out_width, item.out_height);
    resizer.room(item.width, item.height).set(pixels);
    resizer.resize(rgb);
    if (item.rgb_base64 !== undefined) {
      const expected = Uint8Array.from(atob(item.rgb_base64), (letter) => letter.charCodeAt(0));
      expect([...rgb]).toEqual([...expected]);
    }
    expect(sha256Hex(rgb)).toBe(item.sha256);
  });

  it("gives the sums of its plan, whatever the sizes", () => {
    const random = randomIntegers(7);
    for (let round = 0; round < 200; round++) {
      const [width, height, toWidth, toHeight] = [random(90), random(90), random(50), random(50)];
      const pixels = drawPixels(width, height, round, round % 2 ? "extremes" : "noise");
      const rgb = new Uint8Array(toWidth * toHeight * 3);
      const resizer = new Resizer(toWidth, toHeight);
      resizer.room(width, height).set(pixels);
      resizer.resize(rgb);
      expect(rgb).toEqual(resizePlainly(pixels, width, height, toWidth, toHeight));
    }
  });

  it("serves images of changing size from one instance", () => {
    const resizer = new Resizer(20, 10);
    for (const [width, height] of [
      [40, 30],
      [20, 10],
      [13, 10],
      [40, 30],
    ] as const) {
      const pixels = drawPixels(width, height, 3, "noise");
      const reused = new Uint8Array(600);
      const fresh = new Uint8Array(600);
      resizer.room(width, height).set(pixels);
      resizer.resize(reused);
      const another = new Resizer(20, 10);
      another.room(width, height).set(pixels);
      another.resize(fresh);
      expect(reused).toEqual(fresh);
    }
  });

  it("keeps an even colour even at any size", () => {
    for (const [width, height] of [
      [1, 1],
      [7, 999],
      [640, 3],
    ] as const) {
      const white = new Uint8Array(width * height * 4).fill(255);
      const rgb = new Uint8Array(31 * 17 * 3);
      const resizer = new Resizer(31, 17);
      resizer.room(width, height).set(white);
      resizer.resize(rgb);
      expect(rgb.every((byte) => byte === 255)).toBe(true);
    }
  });
});

describe("Letterboxer", () => {
  it.each(golden.letterbox_cases)("gives Python's bytes: $name", (item) => {
    const pixels = drawPixels(item.width, item.height, item.seed, item.contrast);
    const rgb = new Uint8Array(item.out_width * item.out_height * 3);
    const letterboxer = new Letterboxer(item.out_width, item.out_height);
    // An image of other proportions before it must leave no trace.
    letterboxer.room(9, 9).set(drawPixels(9, 9, 5, "noise"));
    letterboxer.resize(rgb);
    letterboxer.room(item.width, item.height).set(pixels);
    letterboxer.resize(rgb);
    expect(sha256Hex(rgb)).toBe(item.sha256);
  });
});

describe("planAxis", () => {
  it("has weights that sum to one within rounding, inside the input", () => {
    for (const [from, to] of [
      [1, 9],
      [9, 1],
      [1920, 416],
      [417, 416],
      [320, 640],
    ] as const) {
      const plan = planAxis(from, to);
      for (let position = 0; position < to; position++) {
        const start = plan.starts[position] ?? -1;
        const count = plan.counts[position] ?? 0;
        expect(start).toBeGreaterThanOrEqual(0);
        expect(start + count).toBeLessThanOrEqual(from);
        const own = plan.weights.subarray(position * plan.taps, position * plan.taps + count);
        const sum = own.reduce((total, weight) => total + weight, 0);
        // Each weight is rounded to the nearest unit of 2^-22.
        expect(Math.abs(sum - 2 ** 22)).toBeLessThanOrEqual(count / 2 + 1);
      }
    }
  });
});
