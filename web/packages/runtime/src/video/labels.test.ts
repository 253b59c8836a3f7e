import { expect, test } from "vitest";
import { type LabelWish, placeLabels } from "./labels";

const SEEN = { x: 0, y: 0, width: 400, height: 300 };

function wish(x: number, y: number, width: number, height: number): LabelWish {
  return { box: { x, y, width, height }, width: 80, shortWidth: 45, height: 20 };
}

test("alone, a label stands above its box, and within it where the picture ends", () => {
  expect(placeLabels([wish(100, 100, 120, 90)], SEEN)).toEqual([
    { x: 99, y: 80, width: 80, height: 20, isShort: false, isAbove: true },
  ]);
  expect(placeLabels([wish(100, 5, 120, 90)], SEEN)[0]).toMatchObject({ y: 5, isAbove: false });
});

test("a label stays in the picture", () => {
  expect(placeLabels([wish(380, 100, 20, 20)], SEEN)[0]).toMatchObject({ x: 320 });
  expect(placeLabels([wish(-10, 100, 120, 20)], SEEN)[0]).toMatchObject({ x: 0 });
});

test("in a mirror a label begins at what is seen as the left edge", () => {
  const [place] = placeLabels([wish(100, 100, 120, 90)], SEEN, { isMirrored: true });
  expect(place).toMatchObject({ x: 141 });
});

test("the second goes below its box, the third within: the first, the best, stays", () => {
  const same = wish(100, 100, 120, 90);
  const places = placeLabels([same, same, same], SEEN);
  expect(places.map(({ y }) => y)).toEqual([80, 190, 100]);
  expect(places.every(({ isShort }) => !isShort)).toBe(true);
});

test("narrow boxes side by side: what finds no room leaves its score out", () => {
  const places = placeLabels(
    [wish(100, 260, 50, 40), wish(50, 260, 50, 40), wish(150, 260, 50, 40)],
    SEEN,
    { taken: [{ x: 0, y: 262, width: 400, height: 38 }] },
  );
  expect(places.map(({ isShort }) => isShort)).toEqual([false, true, false]);
});

test("a label leaves what is taken alone, and stands as it would alone where all is", () => {
  const above = { x: 90, y: 70, width: 60, height: 30 };
  expect(placeLabels([wish(100, 100, 120, 90)], SEEN, { taken: [above] })[0]?.y).toBe(190);
  expect(placeLabels([wish(100, 100, 120, 90)], SEEN, { taken: [SEEN] })[0]?.y).toBe(80);
});
