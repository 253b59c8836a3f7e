import { describe, expect, it } from "vitest";
import { type Fit, fitRect, parseFit, parsePosition, parseRotate, parseScale } from "./fit";

const FITS: readonly Fit[] = ["contain", "cover", "fill", "none", "scale-down"];
const box = (width: number, height: number) => ({ x: 0, y: 0, width, height });

describe("fitRect", () => {
  // Worked by hand: [box, picture, fit, object-position, expected x, y, width, height].
  it.each([
    [[640, 360], [1280, 720], "contain", "50% 50%", [0, 0, 640, 360]],
    [[400, 400], [640, 320], "contain", "50% 50%", [0, 100, 400, 200]],
    [[400, 200], [300, 300], "contain", "50% 50%", [100, 0, 200, 200]],
    [[400, 200], [300, 300], "contain", "0% 0%", [0, 0, 200, 200]],
    [[400, 200], [300, 300], "contain", "100% 50%", [200, 0, 200, 200]],
    [[400, 400], [640, 320], "cover", "50% 50%", [-200, 0, 800, 400]],
    [[400, 400], [640, 320], "cover", "0% 50%", [0, 0, 800, 400]],
    [[400, 400], [640, 320], "cover", "calc(100% - 8px) 0px", [-408, 0, 800, 400]],
    [[400, 300], [640, 320], "fill", "50% 50%", [0, 0, 400, 300]],
    [[400, 400], [640, 320], "none", "50% 50%", [-120, 40, 640, 320]],
    [[400, 400], [640, 320], "none", "10px 20px", [10, 20, 640, 320]],
    [[400, 400], [200, 100], "scale-down", "50% 50%", [100, 150, 200, 100]],
    [[400, 400], [640, 320], "scale-down", "50% 50%", [0, 100, 400, 200]],
  ] as const)("%s, %s, %s at %s", ([width, height], picture, fit, position, [x, y, w, h]) => {
    const size = { width: picture[0], height: picture[1] };
    expect(fitRect(box(width, height), size, fit, parsePosition(position))).toEqual({
      x,
      y,
      width: w,
      height: h,
    });
  });

  it.each(FITS)("%s follows the box's place and its unit", (fit) => {
    if (fit === "none" || fit === "scale-down") return; // those keep to the picture's own pixels
    const picture = { width: 641, height: 363 };
    const rect = fitRect(box(300, 500), picture, fit);
    const moved = fitRect({ x: 7, y: -3, width: 600, height: 1000 }, picture, fit);
    expect(moved.x).toBeCloseTo(7 + rect.x * 2, 9);
    expect(moved.y).toBeCloseTo(-3 + rect.y * 2, 9);
    expect(moved.width).toBeCloseTo(rect.width * 2, 9);
    expect(moved.height).toBeCloseTo(rect.height * 2, 9);
  });

  it("keeps the picture's shape but for fill; contain lies within, cover around", () => {
    for (let width = 50; width < 2000; width += 317) {
      for (let height = 50; height < 2000; height += 271) {
        for (const fit of FITS) {
          const rect = fitRect(box(896, 557), { width, height }, fit);
          expect(rect.x * 2 + rect.width).toBeCloseTo(896, 9);
          expect(rect.y * 2 + rect.height).toBeCloseTo(557, 9);
          if (fit === "fill") continue;
          expect(rect.width / rect.height).toBeCloseTo(width / height, 9);
          if (fit === "contain") expect(Math.min(rect.x, rect.y)).toBeCloseTo(0, 9);
          if (fit === "cover") expect(Math.max(rect.x, rect.y)).toBeCloseTo(0, 9);
          if (fit === "scale-down") expect(rect.width).toBeLessThanOrEqual(width + 1e-9);
        }
      }
    }
  });

  it("is nothing while there is no picture", () => {
    const nothing = { x: 0, y: 0, width: 0, height: 0 };
    expect(fitRect(box(400, 200), { width: 0, height: 0 }, "cover")).toEqual(nothing);
  });
});

it("reads what browsers compute", () => {
  expect(parseFit("cover")).toBe("cover");
  expect(parseFit("")).toBe("fill");
  expect(parsePosition("calc(25% + 1.5px) -4px")).toEqual([
    { share: 0.25, px: 1.5 },
    { share: 0, px: -4 },
  ]);
  expect([parseScale("none"), parseScale("2"), parseScale("-1 1")]).toEqual([
    [1, 1],
    [2, 2],
    [-1, 1],
  ]);
  expect([parseRotate("none"), parseRotate("-90deg"), parseRotate("x 45deg")]).toEqual([0, -90, 0]);
});
