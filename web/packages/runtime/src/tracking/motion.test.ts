import { describe, expect, it } from "vitest";
import golden from "../../../../../contracts/golden/motion.json";
import { sha256Hex } from "../model/sha256";
import { changedShare, MotionGate, shrink } from "./motion";

/** The golden file's noise, with an alpha channel of any value: alpha must not matter. */
function drawPixels(width: number, height: number): Uint8Array {
  const rgba = new Uint8Array(width * height * 4).fill(77);
  for (let index = 0; index < width * height * 3; index++) {
    let value = Math.imul(index, 2654435761);
    value ^= value >>> 15;
    value = Math.imul(value, 2246822519);
    value ^= value >>> 13;
    rgba[Math.floor(index / 3) * 4 + (index % 3)] = value >>> 24;
  }
  return rgba;
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

type GoldenFrame = readonly [number, number, number, string, boolean];

describe("MotionGate", () => {
  it.each(golden.streams)("lets the golden frames through: $name", (stream) => {
    const gate = new MotionGate();
    const frames = stream.frames as unknown as readonly GoldenFrame[];
    const passed = frames.map(([timeS, width, height, stored]) =>
      gate.hasChanged(fromBase64(stored), width, height, timeS),
    );
    expect(passed).toEqual(frames.map((frame) => frame[4]));
  });

  it("looks at a picture again once it is reset", () => {
    const gate = new MotionGate();
    const pixels = drawPixels(300, 200);
    expect(gate.hasMoved(pixels, 300, 200, 0)).toBe(true);
    expect(gate.hasMoved(pixels, 300, 200, 0.1)).toBe(false);
    gate.reset();
    expect(gate.hasMoved(pixels, 300, 200, 0.2)).toBe(true);
    expect(gate.hasMoved(pixels, 300, 200, 0.3)).toBe(false);
    expect(gate.hasMoved(pixels, 200, 300, 0.4)).toBe(true);
  });

  it("keeps what it remembers apart from the caller's bytes", () => {
    const gate = new MotionGate();
    const pixels = drawPixels(64, 48);
    gate.hasMoved(pixels, 64, 48, 0);
    pixels.fill(0, 0, pixels.length / 2);
    expect(gate.hasMoved(pixels, 64, 48, 0.3)).toBe(true);
  });
});

describe("changedShare", () => {
  it.each(golden.shares)("gives the golden share $share", ({ before, now, share }) => {
    const cells = (rows: readonly (readonly number[])[]) => new Float64Array(rows.flat());
    expect(changedShare(cells(before), cells(now))).toBe(share);
  });
});

describe("shrink", () => {
  it.each(golden.shrinks)("gives Pillow's greys: $name", (item) => {
    const small = shrink(drawPixels(item.width, item.height), item.width, item.height);
    expect([small.width, small.height]).toEqual([item.out_width, item.out_height]);
    if (item.grey_base64 !== undefined) expect(small.grey).toEqual(fromBase64(item.grey_base64));
    expect(sha256Hex(small.grey)).toBe(item.sha256);
  });
});
