import { describe, expect, it } from "vitest";
import { MedianMeter, RateMeter } from "./meters";

describe("RateMeter", () => {
  it("counts intervals, not events, within the window", () => {
    const meter = new RateMeter(1000);
    expect(meter.perSecond(0)).toBeNull();
    meter.add(0);
    expect(meter.perSecond(0)).toBeNull();
    for (let time = 100; time <= 2000; time += 100) meter.add(time);
    expect(meter.perSecond(2000)).toBeCloseTo(10);
  });

  it("falls back to nothing when events stop", () => {
    const meter = new RateMeter(1000);
    meter.add(0);
    meter.add(50);
    expect(meter.perSecond(60)).toBeCloseTo(20);
    expect(meter.perSecond(5000)).toBeNull();
  });
});

describe("MedianMeter", () => {
  it("gives the middle of the last values", () => {
    const meter = new MedianMeter(4);
    expect(meter.median()).toBeNull();
    for (const value of [1000, 3, 1, 2]) meter.add(value);
    expect(meter.median()).toBe(2.5);
    meter.add(5); // 1000 falls out
    expect(meter.median()).toBe(2.5);
    meter.add(6);
    expect(meter.median()).toBe(3.5);
  });
});
