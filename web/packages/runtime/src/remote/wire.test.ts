import { describe, expect, it } from "vitest";
import * as errors from "../errors";
import { errorOf, isPassing, parseMessage, toQuery, toResult } from "./wire";

const TIMING = { queue_ms: 1, decode_ms: 2, infer_ms: 14, total_ms: 18 };
const DETECTIONS = {
  type: "detections",
  frame: 7,
  dropped: 0,
  model: "a",
  width: 320,
  height: 180,
  threshold: 0.5,
  detections: [{ label: "dog", score: 0.9, box: [10, 20, 30, 40], id: 3 }],
  timing: TIMING,
};

const parse = (value: unknown) => parseMessage(JSON.stringify(value));

function answerOf(value: unknown) {
  const message = parse(value);
  if (message?.kind !== "answer") throw new Error("no answer");
  return message;
}

describe("parseMessage", () => {
  it("reads each kind", () => {
    const ready = { type: "ready", model: "a", labels: ["cat", "dog"], threshold: 0.4 };
    expect(parse(ready)).toEqual({ ...ready, kind: "ready", type: undefined });
    expect(answerOf(DETECTIONS).found).toEqual(DETECTIONS.detections);
    expect(answerOf({ ...DETECTIONS, type: "still", detections: undefined }).found).toBeNull();
    expect(answerOf({ ...DETECTIONS, pts: 9000, age_ms: 21.5 })).toMatchObject({
      pts: 9000,
      ageMs: 21.5,
    });
    expect(parse({ type: "pong", t: 5, time_ms: 9 })).toEqual({ kind: "pong", sentAt: 5 });
  });

  it("tells errors of one frame from those of the connection", () => {
    const error = { code: "image-unreadable", detail: "no JPEG" };
    expect(parse({ type: "error", frame: 1, error })).toMatchObject({ isOfFrame: true });
    expect(parse({ type: "error", error })).toMatchObject({ isOfFrame: false });
  });

  it("ignores kinds of later versions and refuses broken shapes", () => {
    expect(parse({ type: "of-later-versions" })).toBeNull();
    expect(() => parseMessage("<html>")).toThrow(errors.RemoteRefused);
    expect(() => parse({ ...DETECTIONS, width: "320" })).toThrow("width");
    expect(() => parse({ ...DETECTIONS, timing: null })).toThrow("timing");
    expect(() => parse({ ...DETECTIONS, detections: [{ label: "dog", score: 1 }] })).toThrow("box");
  });
});

describe("toResult", () => {
  it("scales boxes to the frame and names classes by the model's labels", () => {
    const size = { width: 1280, height: 720 };
    const result = toResult(answerOf(DETECTIONS), ["cat", "dog"], 123, [], size);
    expect(result).toMatchObject({ width: 1280, height: 720, capturedAt: 123, serverMs: 18 });
    expect(result.detections).toEqual([
      { label: "dog", labelId: 1, score: 0.9, boxXyxy: [40, 80, 120, 160], id: 3 },
    ]);
    expect(result.timing).toEqual({ preprocessMs: 2, inferenceMs: 14, postprocessMs: 1 });
  });

  it("holds on to the last detections where nothing moved", () => {
    const last = toResult(answerOf(DETECTIONS), ["dog"], 1, []).detections;
    const still = answerOf({ ...DETECTIONS, type: "still" });
    expect(toResult(still, ["dog"], 2, last)).toMatchObject({ detections: last, isStill: true });
  });
});

it.each([
  ["busy", errors.RemoteBusy, true],
  ["rate-limited", errors.RemoteBusy, true],
  ["token-required", errors.TokenRefused, false],
  ["invalid-request", errors.RemoteRefused, false],
  ["not-found", errors.RemoteRefused, false],
  ["request-timeout", errors.RemoteUnreachable, true],
  ["image-unreadable", errors.RemoteError, false],
  ["not-available", errors.MediaBlocked, false],
])("reads the server's %s", (code, Cause, passes) => {
  const error = errorOf({ code, detail: "why" });
  expect(error).toBeInstanceOf(Cause);
  expect(isPassing(error)).toBe(passes);
});

it("asks for what the options say and nothing else", () => {
  expect(toQuery({})).toEqual({});
  expect(
    toQuery({ model: "a", threshold: 0.2, labels: ["cat", "dog"], max: 5, track: true }),
  ).toEqual({ model: "a", threshold: "0.2", labels: "cat,dog", max: "5", track: "1" });
});
