import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { FrameRing } from "./ring";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Of a VideoFrame what the ring uses: Node.js has none. */
function frames(count: number): (VideoFrame & { isClosed: boolean })[] {
  return Array.from({ length: count }, () => {
    const frame = {
      displayWidth: 640,
      isClosed: false,
      close(): void {
        this.isClosed = true;
      },
    };
    return frame as unknown as VideoFrame & { isClosed: boolean };
  });
}

it("finds the frame of a capture, which is the caller's, and closes those before it", () => {
  const ring = new FrameRing();
  const given = frames(3);
  given.forEach((frame, index) => {
    ring.add(frame, index * 100);
  });
  expect(ring.take(110)).toBe(given[1]);
  expect(given.map(({ isClosed }) => isClosed)).toEqual([true, false, false]);
  ring.clear();
  expect(given.map(({ isClosed }) => isClosed)).toEqual([true, false, true]);
});

it("leaves a camera most of its ten buffers", () => {
  const ring = new FrameRing();
  const given = frames(20);
  given.forEach((frame, index) => {
    ring.add(frame, index * 33);
  });
  expect(given.filter(({ isClosed }) => !isClosed).length).toBeLessThanOrEqual(4);
});

it("gives all back where no frame follows: the camera may be waiting for them", () => {
  const ring = new FrameRing();
  const given = frames(2);
  given.forEach((frame, index) => {
    ring.add(frame, index * 33);
  });
  vi.advanceTimersByTime(200);
  expect(given.some(({ isClosed }) => isClosed)).toBe(false);
  vi.advanceTimersByTime(200);
  expect(given.every(({ isClosed }) => isClosed)).toBe(true);
});
