import { describe, expect, it } from "vitest";
import { containedRect } from "./overlay";

describe("containedRect", () => {
  it.each([
    ["same shape", [640, 360, 1280, 720], { x: 0, y: 0, width: 640, height: 360 }],
    ["bars above and below", [400, 400, 640, 320], { x: 0, y: 100, width: 400, height: 200 }],
    ["bars left and right", [400, 200, 300, 300], { x: 100, y: 0, width: 200, height: 200 }],
    ["no picture yet", [400, 200, 0, 0], { x: 0, y: 0, width: 0, height: 0 }],
  ] as const)("%s", (_, [boxWidth, boxHeight, width, height], expected) => {
    expect(containedRect(boxWidth, boxHeight, width, height)).toEqual(expected);
  });

  it("keeps the picture's shape, touches two edges and is centred", () => {
    for (let width = 50; width < 2000; width += 317) {
      for (let height = 50; height < 2000; height += 271) {
        const rect = containedRect(896, 557, width, height);
        expect(rect.width / rect.height).toBeCloseTo(width / height, 9);
        expect(Math.min(rect.x, rect.y)).toBeCloseTo(0, 9);
        expect(rect.x * 2 + rect.width).toBeCloseTo(896, 9);
        expect(rect.y * 2 + rect.height).toBeCloseTo(557, 9);
      }
    }
  });
});
