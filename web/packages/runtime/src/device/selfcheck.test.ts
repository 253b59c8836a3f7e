import { describe, expect, it } from "vitest";
import type { GraphOutputs } from "./postprocess";
import { drawTestPicture, findDifference } from "./selfcheck";

type Candidate = readonly [score: number, labelId: number, box: readonly number[]];

const outputs = (...candidates: Candidate[]): GraphOutputs => ({
  boxesXyxyNorm: Float32Array.from(candidates.flatMap(([, , box]) => box)),
  scores: Float32Array.from(candidates, ([score]) => score),
  labelIds: Int32Array.from(candidates, ([, labelId]) => labelId),
});

const LEFT = [0, 0, 0.4, 0.4];
const RIGHT = [0.5, 0.5, 1, 1];
const NONE = [Number.NaN, Number.NaN, Number.NaN, Number.NaN];
const wasm = outputs([0.9, 1, LEFT], [0.8, 2, RIGHT], [0.1, 3, LEFT]);

describe("findDifference", () => {
  it("finds none between equals, nor where near-ties change places", () => {
    expect(findDifference(wasm, wasm, 0.5)).toBeNull();
    const one = outputs([0.801, 1, LEFT], [0.8, 2, RIGHT]);
    const other = outputs([0.802, 2, RIGHT], [0.799, 1, [0, 0, 0.4, 0.41]]);
    expect(findDifference(one, other, 0.5)).toBeNull();
  });

  it.each([
    ["another score", outputs([0.88, 1, LEFT], [0.8, 2, RIGHT], [0.1, 3, LEFT])],
    ["no number", outputs([Number.NaN, 1, LEFT], [0.8, 2, RIGHT], [0.1, 3, LEFT])],
    ["another label", outputs([0.9, 2, LEFT], [0.8, 2, RIGHT], [0.1, 3, LEFT])],
    ["another place", outputs([0.9, 1, [0.1, 0, 0.5, 0.4]], [0.8, 2, RIGHT], [0.1, 3, LEFT])],
    ["a box of no numbers", outputs([0.9, 1, LEFT], [0.8, 2, NONE], [0.1, 3, LEFT])],
    ["fewer", outputs([0.9, 1, LEFT], [0.8, 2, RIGHT])],
  ])("finds %s", (_, found) => {
    expect(findDifference(wasm, found, 0.5)).not.toBeNull();
  });

  it("leaves aside where candidates below the threshold lie, but the best", () => {
    const elsewhere = outputs([0.9, 1, LEFT], [0.8, 2, RIGHT], [0.1, 5, RIGHT]);
    expect(findDifference(wasm, elsewhere, 0.5)).toBeNull();
    const faint = outputs([0.2, 1, LEFT]);
    expect(findDifference(faint, outputs([0.2, 1, RIGHT]), 0.5)).not.toBeNull();
  });
});

it("draws a picture of the size asked for that is not one color", () => {
  const pixels = drawTestPicture(32, 16);
  expect(pixels.length).toBe(32 * 16 * 3);
  expect(new Set(pixels).size).toBeGreaterThan(20);
});
