import { expect, it } from "vitest";
import { classColor, textColor } from "./colors";

// From sightline.drawing.class_color.
it.each([
  [0, [68, 242, 211]],
  [1, [242, 160, 68]],
  [2, [109, 68, 242]],
  [3, [77, 242, 68]],
  [44, [68, 71, 242]],
  [79, [108, 242, 68]],
  [299, [142, 242, 68]],
])("class %i has drawing.py's colour", (labelId, rgb) => {
  expect(classColor(labelId)).toEqual(rgb);
});

it("writes on light colours in black and on dark ones in white", () => {
  expect(textColor([242, 242, 68])).toBe("#000");
  expect(textColor([68, 68, 242])).toBe("#fff");
});
