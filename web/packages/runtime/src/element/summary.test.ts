import { expect, it } from "vitest";
import { summarize } from "./summary";

it.each([
  [["person", "dog", "person"], "2 persons, 1 dog"],
  [["bus", "bus", "bench", "bench"], "2 buses, 2 benches"],
  [[], "Nothing found"],
])("%s", (labels, expected) => {
  const found = labels.map((label) => ({
    label,
    labelId: 0,
    score: 0.5,
    boxXyxy: [0, 0, 1, 1] as const,
  }));
  expect(summarize(found)).toBe(expected);
});
