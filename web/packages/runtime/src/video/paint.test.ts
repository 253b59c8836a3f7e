import { expect, it } from "vitest";
import { intersect, labelText } from "./paint";

it("labels say the class, the object's number where there is one, and the score", () => {
  const found = { label: "person", labelId: 0, score: 0.867, boxXyxy: [0, 0, 1, 1] } as const;
  expect(labelText(found)).toBe("person 87 %");
  expect(labelText({ ...found, id: 3 })).toBe("person #3 87 %");
});

it("what two rectangles share is within both, and nothing where they are apart", () => {
  const a = { x: 0, y: 0, width: 100, height: 50 };
  const b = { x: 60, y: -20, width: 100, height: 50 };
  expect(intersect(a, b)).toEqual({ x: 60, y: 0, width: 40, height: 30 });
  expect(intersect(a, b)).toEqual(intersect(b, a));
  expect(intersect(a, { ...b, x: 200 }).width).toBe(0);
});
