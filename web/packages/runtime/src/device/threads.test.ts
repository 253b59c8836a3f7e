import { expect, it } from "vitest";
import { maxThreads } from "./threads";

it.each([
  [false, 16, 1],
  [true, 1, 1],
  [true, 2, 1],
  [true, 3, 1],
  [true, 4, 2],
  [true, 8, 4],
  [true, 64, 4],
])("isolated %s with %i cores: at most %i threads", (isIsolated, cores, threads) => {
  expect(maxThreads(isIsolated, cores)).toBe(threads);
});
