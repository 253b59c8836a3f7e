import { expect, it } from "vitest";
import { toOutputs } from "./conversion";

it("turns corners, orders by score and counts labels from 0", () => {
  const values = [
    [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8],
    [0.25, 0.75],
    [1, 7],
  ];
  const convention = { boxFormat: "yxyx_norm", firstLabel: 1, maxDetections: 300 } as const;
  const outputs = toOutputs(values, convention);
  expect([...outputs.scores]).toEqual([0.75, 0.25]);
  expect([...outputs.labelIds]).toEqual([6, 0]);
  expect([...outputs.boxesXyxyNorm]).toEqual(
    [0.6, 0.5, 0.8, 0.7, 0.2, 0.1, 0.4, 0.3].map(Math.fround),
  );
});

it.each([
  [[[0, 0, 1], [0.5], [1]]],
  [[[0, 0, 1, 1], [0.5], []]],
  [[new Array(8).fill(0), [0.5, 0.5], [1, 1]]],
])("refuses other numbers of values: %j", (values) => {
  const convention = { boxFormat: "xyxy_norm", firstLabel: 0, maxDetections: 1 } as const;
  expect(() => toOutputs(values, convention)).toThrow(/make the model again/);
});
