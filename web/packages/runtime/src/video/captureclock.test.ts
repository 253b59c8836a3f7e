import { expect, test } from "vitest";
import { CaptureClock } from "./captureclock";

const DELAYS_MS = [16, 3, 9, 3, 30, 14, 5];

test("what presentation adds to the capture is the same for all frames", () => {
  const clock = new CaptureClock();
  const told = DELAYS_MS.map((delayMs, index) =>
    clock.capturedAt(index * 33, 5000 + index * 33 + delayMs),
  );
  expect(told.slice(1)).toEqual(told.slice(1).map((_, index) => 5003 + (index + 1) * 33));
});

test("timestamps that begin anew are another count", () => {
  const clock = new CaptureClock();
  clock.capturedAt(9000, 10_003);
  expect(clock.capturedAt(0, 10_040)).toBe(10_040);
  expect(clock.capturedAt(33, 10_070)).toBe(10_070);
  expect(clock.capturedAt(66, 10_120)).toBe(10_103);
  expect(clock.capturedAt(20_000, 10_140)).toBe(10_140);
});
