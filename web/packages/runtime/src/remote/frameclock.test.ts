import { describe, expect, it } from "vitest";
import { FrameClock, LeastLately } from "./frameclock";

/** Frames of about 30 a second on a camera's uneven clock, to the millisecond. */
function captureTimes(count: number, seed = 1): number[] {
  const times: number[] = [];
  let state = seed;
  let now = 5000;
  for (let index = 0; index < count; index++) {
    state = (state * 48271) % 2147483647;
    now += 30 + (state % 8);
    times.push(now);
  }
  return times;
}

interface Run {
  readonly firstRtp: number;
  /** How many frames the server loses before the one whose timestamp it counts from. */
  readonly lost: number;
  readonly hasTap: boolean;
  readonly encodeMs: (index: number) => number;
  readonly wayMs: (index: number) => number;
}

/** The errors, in milliseconds, of the capture times that the clock tells. */
function errorsOf(run: Run, count = 120): number[] {
  const clock = new FrameClock();
  const times = captureTimes(count);
  const [first = 0] = times;
  const rtpOf = (time: number) => (run.firstRtp + (time - first) * 90) % 2 ** 32;
  const origin = rtpOf(times[run.lost] ?? 0);
  const events: { at: number; act: () => void }[] = [];
  const errors: number[] = [];
  times.forEach((time, index) => {
    const sentAt = time + run.encodeMs(index);
    if (run.hasTap) events.push({ at: sentAt, act: () => clock.noteSent(rtpOf(time), sentAt) });
    if (index < run.lost || index % 3 === 1) return; // every third is replaced by a newer one
    const pts = (rtpOf(time) - origin + 2 ** 32) % 2 ** 32;
    const arrivedAt = sentAt + 2 * run.wayMs(index) + 25;
    const sighting = { pts, arrivedAt, ageMs: 25, pathMs: 4 };
    events.push({ at: arrivedAt, act: () => errors.push(clock.capturedAt(sighting) - time) });
  });
  for (const { act } of events.sort((a, b) => a.at - b.at)) act();
  return errors;
}

describe("FrameClock", () => {
  const noisy = (index: number) => 4 + ((index * 7) % 11);
  const way = (index: number) => 4 + ((index * 5) % 90);

  it("ties answers to frames for certain once their uneven times tell them apart", () => {
    const errors = errorsOf({ firstRtp: 1000, lost: 0, hasTap: true, encodeMs: noisy, wayMs: way });
    for (const error of errors.slice(15)) expect(error).toBeCloseTo(4, 6); // the least of encodeMs
  });

  it("finds the first frame that the server saw, also when that was not the first one sent", () => {
    const errors = errorsOf({ firstRtp: 5, lost: 7, hasTap: true, encodeMs: noisy, wayMs: way });
    for (const error of errors.slice(15)) expect(error).toBeCloseTo(4, 6);
  });

  it("goes on where the 32 bits of RTP timestamps wrap around", () => {
    const firstRtp = 2 ** 32 - 90_000;
    const errors = errorsOf({ firstRtp, lost: 0, hasTap: true, encodeMs: noisy, wayMs: way });
    for (const error of errors.slice(15)) expect(error).toBeCloseTo(4, 6);
  });

  it("goes by the quickest answers where encoded frames cannot be seen", () => {
    const errors = errorsOf({ firstRtp: 9, lost: 0, hasTap: false, encodeMs: noisy, wayMs: way });
    // 4 ms of encoding at least, and a way of 4 ms there and back: of which half is taken off.
    for (const error of errors.slice(60)) {
      expect(error).toBeGreaterThanOrEqual(4);
      expect(error).toBeLessThan(16);
    }
  });

  it("starts anew when the server counts from another frame", () => {
    const clock = new FrameClock();
    const times = captureTimes(200);
    times.forEach((time, index) => {
      clock.noteSent(time * 90, time + 5);
      const origin = times[index < 100 ? 0 : 100] ?? 0;
      const pts = (time - origin) * 90;
      const capturedAt = clock.capturedAt({ pts, arrivedAt: time + 40, ageMs: 20, pathMs: 3 });
      if ((index > 20 && index < 100) || index > 120) {
        expect(capturedAt - time).toBeCloseTo(5, 6);
        expect(clock.isExact).toBe(true);
      }
    });
  });
});

describe("LeastLately", () => {
  it("keeps the least for five to ten seconds", () => {
    const least = new LeastLately();
    expect(least.value).toBe(Number.POSITIVE_INFINITY);
    least.add(3, 0);
    for (let now = 100; now <= 5000; now += 100) least.add(8, now);
    expect(least.value).toBe(3);
    for (let now = 5100; now <= 10_300; now += 100) least.add(8, now);
    expect(least.value).toBe(8);
  });
});
