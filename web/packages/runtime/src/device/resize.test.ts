import { describe, expect, it } from "vitest";
import golden from "../../../../../contracts/golden/resize.json";
import { sha256Hex } from "../model/sha256";
import { Letterboxer, planAxis, Resizer } from "./resize";

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

describe("Resizer", () => {
  it.each(golden.cases)("gives Pillow's bytes: $name", (item) => {
    const pixels = drawPixels(item.width, item.height, item.seed, item.contrast);
    const rgb = new Uint8Array(item.out_width * item.out_height * 3);
    new Resizer(item.out_width, item.out_height).resize(pixels, item.width, item.height, rgb);
    if (item.rgb_base64 !== undefined) {
      const expected = Uint8Array.from(atob(item.rgb_base64), (letter) => letter.charCodeAt(0));
      expect([...rgb]).toEqual([...expected]);
    }
    expect(sha256Hex(rgb)).toBe(item.sha256);
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
      resizer.resize(pixels, width, height, reused);
      new Resizer(20, 10).resize(pixels, width, height, fresh);
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
      new Resizer(31, 17).resize(white, width, height, rgb);
      expect(rgb.every((byte) => byte === 255)).toBe(true);
    }
  });

  it("refuses a buffer too small for its size", () => {
    expect(() => new Resizer(4, 4).resize(new Uint8Array(15), 2, 2, new Uint8Array(48))).toThrow(
      RangeError,
    );
  });
});

describe("Letterboxer", () => {
  it.each(golden.letterbox_cases)("gives Python's bytes: $name", (item) => {
    const pixels = drawPixels(item.width, item.height, item.seed, item.contrast);
    const rgb = new Uint8Array(item.out_width * item.out_height * 3);
    const letterboxer = new Letterboxer(item.out_width, item.out_height);
    // An image of other proportions before it must leave no trace.
    letterboxer.resize(drawPixels(9, 9, 5, "noise"), 9, 9, rgb);
    letterboxer.resize(pixels, item.width, item.height, rgb);
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
