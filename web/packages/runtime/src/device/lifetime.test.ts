import { describe, expect, it } from "vitest";
import { hungAfterMs, isOutgrown, medianOf, RecentMedian, RecoveryBudget } from "./lifetime";

it("waits ten seconds at least, and longer where runs take long", () => {
  expect(hungAfterMs(30)).toBe(10_000);
  expect(hungAfterMs(2_000)).toBe(40_000);
});

it("lets memory grow by half and 64 MiB", () => {
  const mebibyte = 2 ** 20;
  expect(isOutgrown(214 * mebibyte, 100 * mebibyte)).toBe(false);
  expect(isOutgrown(215 * mebibyte, 100 * mebibyte)).toBe(true);
});

describe("RecoveryBudget", () => {
  it("gives so many within a minute, and more as the minute passes", () => {
    const budget = new RecoveryBudget(3);
    expect([0, 10_000, 20_000, 59_000].map((at) => budget.take(at))).toEqual([
      true,
      true,
      true,
      false,
    ]);
    expect(budget.take(60_000)).toBe(true);
    expect(budget.take(61_000)).toBe(false);
  });
});

it("takes the middle, of two in the middle the lower, and 0 of none", () => {
  expect(medianOf([9, 1, 5])).toBe(5);
  expect(medianOf([4, 1, 3, 2])).toBe(2);
  expect(medianOf([])).toBe(0);
});

it("forgets what is long ago", () => {
  const recent = new RecentMedian(3);
  for (const value of [100, 100, 100, 1, 2, 3]) recent.add(value);
  expect(recent.median).toBe(2);
  expect(recent.count).toBe(3);
});
