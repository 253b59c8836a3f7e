import { expect, it } from "vitest";
import { groupByClass } from "./panel";

it("groups detections by class, the surest class first", () => {
  const found = (label: string, labelId: number, score: number) => ({
    label,
    labelId,
    score,
    boxXyxy: [0, 0, 1, 1] as const,
  });
  expect(groupByClass([found("cat", 1, 0.9), found("dog", 2, 0.8), found("cat", 1, 0.7)])).toEqual([
    { label: "cat", labelId: 1, bestScore: 0.9, count: 2 },
    { label: "dog", labelId: 2, bestScore: 0.8, count: 1 },
  ]);
  expect(groupByClass([])).toEqual([]);
});
