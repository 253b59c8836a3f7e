import { describe, expect, it } from "vitest";
import golden from "../../../../../contracts/golden/tracker.json";
import { assign, matchPairs } from "./assignment";
import { Tracker } from "./tracker";

type Seen = readonly [number, number, number, number, number, number];

function follow(tracker: Tracker, seen: readonly Seen[], timeS: number): number[] {
  const boxesXyxy = new Float32Array(seen.flatMap((candidate) => candidate.slice(0, 4)));
  const scores = Float32Array.from(seen, (candidate) => candidate[4]);
  const labelIds = Int32Array.from(seen, (candidate) => candidate[5]);
  return [...tracker.update(boxesXyxy, scores, labelIds, timeS)];
}

describe("Tracker", () => {
  it.each(golden.streams)("gives the golden numbers: $name", (stream) => {
    const tracker = new Tracker(stream.threshold);
    const updates = stream.updates as unknown as readonly [number, Seen[], number[]][];
    const numbers = updates.map(([timeS, seen]) => follow(tracker, seen, timeS));
    expect(numbers).toEqual(updates.map(([, , expected]) => expected));
  });

  it("takes a threshold that changes", () => {
    const tracker = new Tracker(0.5);
    expect(follow(tracker, [[0, 0, 10, 10, 0.4, 0]], 0)).toEqual([0]);
    tracker.threshold = 0.4;
    expect(follow(tracker, [[0, 0, 10, 10, 0.4, 0]], 0.1)).toEqual([1]);
  });

  it("remembers only so many objects of a noisy picture", () => {
    const tracker = new Tracker(0);
    const noise = (frame: number, index: number): Seen => {
      const x = ((frame * 300 + index) * 7919) % 100_003;
      return [x, 0, x + 0.5, 1, 1, 0];
    };
    for (let frame = 0; frame < 12; frame++) {
      const seen = Array.from({ length: 300 }, (_, index) => noise(frame, index));
      follow(tracker, seen, frame / 30);
    }
    // Of those seen before the last frame the 500 latest, of equals the first: from frame 9 on.
    const numbers = follow(tracker, [noise(11, 7), noise(10, 7), noise(9, 7)], 12 / 30);
    expect(numbers).toEqual([11 * 300 + 8, 10 * 300 + 8, 9 * 300 + 8]);
    expect(follow(tracker, [noise(8, 7), noise(0, 7)], 12 / 30)).toEqual([3601, 3602]);
  });
});

describe("assign", () => {
  it.each(golden.assignments)("gives the golden columns $columns", ({ costs, columns }) => {
    const flat = new Float64Array(costs.flat());
    expect([...assign(flat, costs.length, costs[0]?.length ?? 0)]).toEqual(columns);
  });

  it("has nothing to give to nobody", () => {
    expect([...assign(new Float64Array(0), 0, 0)]).toEqual([]);
    expect([...assign(new Float64Array(0), 2, 0)]).toEqual([-1, -1]);
    expect([...matchPairs(new Float64Array(0), 2, 0)]).toEqual([-1, -1]);
  });
});

describe("matchPairs", () => {
  it("takes the greatest sum, and nothing without a gain", () => {
    // Rows 0 and 1 want column 0; row 2 stands alone with column 2; row 3 wants nothing.
    const gains = [0.9, 0.8, 0, 0.7, 0, 0, 0, 0, 0.3, 0, 0, 0];
    expect([...matchPairs(new Float64Array(gains), 4, 3)]).toEqual([1, 0, 2, -1]);
  });
});
