import { expect, it } from "vitest";
import { facingByName } from "./facing";

it.each([
  ["camera2 1, facing front", "user"],
  ["camera2 0, facing back", "environment"],
  ["Back Dual Wide Camera", "environment"],
  ["FaceTime HD Camera", "user"],
  ["Microsoft Camera Rear", "environment"],
  ["HD Pro Webcam C920", null],
  ["Feedback Cam", null],
  ["", null],
])("reads %j as %s", (label, facing) => {
  expect(facingByName(label)).toBe(facing);
});
