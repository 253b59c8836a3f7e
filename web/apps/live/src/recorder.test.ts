import { expect, it } from "vitest";
import { clipSize, formatTime } from "./recorder";

it.each([
  [640, 360, 640, 360],
  [1280, 720, 1280, 720],
  [3840, 2160, 1280, 720],
  [1080, 1920, 720, 1280],
  [641, 359, 642, 360],
  [1, 1, 2, 2],
])("makes clips of %i x %i pixels %i x %i", (width, height, clipWidth, clipHeight) => {
  expect(clipSize(width, height)).toEqual({ width: clipWidth, height: clipHeight });
});

it.each([
  [0, "0:00"],
  [59_999, "0:59"],
  [67_000, "1:07"],
  [600_000, "10:00"],
])("writes %i ms as %s", (milliseconds, text) => {
  expect(formatTime(milliseconds)).toBe(text);
});
