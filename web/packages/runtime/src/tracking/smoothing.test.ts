import { describe, expect, it } from "vitest";
import type { Detection } from "../device/detector";
import { drawFrom } from "./drawn";
import { BoxSmoother } from "./smoothing";

type Box = Detection["boxXyxy"];

function seen(boxXyxy: Box, id?: number): Detection {
  return { label: "cup", labelId: 41, score: 0.9, boxXyxy, ...(id === undefined ? {} : { id }) };
}

/** A box of 40 x 80 around a centre. */
function around(x: number, y = 100): Box {
  return [x - 20, y - 40, x + 20, y + 40];
}

/** The smoothed boxes of one object. */
function follow(boxes: readonly Box[], fps: number, smoother = new BoxSmoother()): Box[] {
  return boxes.map((box, index) => {
    const [found] = smoother.smooth([seen(box, 1)], (index * 1000) / fps);
    return found?.boxXyxy ?? around(Number.NaN);
  });
}

function wander(seed: number, count: number): Box[] {
  const next = drawFrom(seed);
  let [x, y] = [200, 200];
  return Array.from({ length: count }, (): Box => {
    [x, y] = [x + 4 * next(), y + 4 * next()];
    return [x - 30 + next(), y - 30 + next(), x + 30 + next(), y + 30 + next()];
  });
}

describe("BoxSmoother", () => {
  it.each([10, 30])("calms what stands still to under a half at %i frames a second", (fps) => {
    const next = drawFrom(fps);
    const raw = Array.from({ length: 90 }, () => around(100 + next(), 100 + next()));
    const way = (boxes: readonly Box[]) =>
      boxes.reduce((sum, box, index) => sum + Math.abs(box[0] - (boxes[index - 1] ?? box)[0]), 0);
    expect(way(follow(raw, fps))).toBeLessThan(way(raw) / 2);
  });

  it.each([10, 30])("goes along with what moves at %i frames a second", (fps) => {
    const raw = Array.from({ length: fps * 2 }, (_, index) => around(100 + (60 * index) / fps));
    const off = follow(raw, fps).map((box, index) => (raw[index]?.[0] ?? Number.NaN) - box[0]);
    expect(Math.max(...off)).toBeLessThan(0.12 * 40);
    expect(off.at(-1)).toBeLessThan(0.03 * 40);
  });

  it("never goes past a box, nor away from it", () => {
    const raw = wander(5, 200);
    const centres = (boxes: readonly Box[]) => boxes.map((box) => (box[0] + box[2]) / 2);
    const [from, to] = [centres(follow(raw, 20)), centres(raw)];
    for (let index = 1; index < to.length; index++) {
      const [was, is, aim] = [from[index - 1], from[index], to[index]] as [number, number, number];
      expect(is).toBeGreaterThanOrEqual(Math.min(was, aim) - 1e-9);
      expect(is).toBeLessThanOrEqual(Math.max(was, aim) + 1e-9);
    }
  });

  it("treats the same object alike in a picture four times as large", () => {
    const raw = wander(9, 60);
    const larger = (box: Box): Box => [4 * box[0], 4 * box[1], 4 * box[2], 4 * box[3]];
    expect(follow(raw.map(larger), 15)).toEqual(follow(raw, 15).map(larger));
  });

  it("leaves alone what is new, has no id, or stands exactly still", () => {
    const smoother = new BoxSmoother();
    const nameless = seen(around(50));
    expect(smoother.smooth([nameless, seen(around(80), 7)], 0)).toEqual([
      nameless,
      seen(around(80), 7),
    ]);
    const later = smoother.smooth(
      [seen(around(51)), seen(around(80), 7), seen(around(300), 8)],
      50,
    );
    expect(later).toEqual([seen(around(51)), seen(around(80), 7), seen(around(300), 8)]);
  });

  it("keeps objects apart, in any order", () => {
    const [one, two] = [wander(1, 30), wander(2, 30)];
    const smoother = new BoxSmoother();
    const both = one.map((box, index) => {
      const detections = [seen(box, 1), seen(two[index] as Box, 2)];
      const found = smoother.smooth(index % 2 ? detections : detections.reverse(), index * 100);
      return found.find(({ id }) => id === 1)?.boxXyxy;
    });
    expect(both).toEqual(follow(one, 10));
  });

  it("goes to where an object has jumped at once", () => {
    const [, second, third] = follow([around(100), around(130), around(131)], 10);
    expect(second).toEqual(around(130)); // a quarter of the box is shared with the first, IoU .14
    expect(third?.[0]).toBeLessThan(around(131)[0]);
  });

  it("forgets an object that it has not seen for a second, and one of a later time", () => {
    const smoother = new BoxSmoother();
    const at = (x: number, timeMs: number) =>
      smoother.smooth([seen(around(x), 1)], timeMs)[0]?.boxXyxy[0];
    at(100, 0);
    expect(at(104, 1000)).not.toBe(around(104)[0]);
    smoother.smooth([], 1900);
    expect(at(108, 2001)).toBe(around(108)[0]);
    expect(at(104, 500)).toBe(around(104)[0]);
    expect(at(108, 600)).not.toBe(around(108)[0]);
  });
});
