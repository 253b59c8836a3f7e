import { expect, it } from "vitest";
import { ConfigInvalid } from "../errors";
import { checkOptions, checkSettings } from "./check";
import { DEFAULT_SETTINGS } from "./watch";

it("takes the defaults, and what is left out", () => {
  checkSettings(DEFAULT_SETTINGS);
  checkSettings({ threshold: undefined, max: Number.POSITIVE_INFINITY });
});

it.each([
  [{ treshold: 0.5 }, 'there is no setting "treshold"; the nearest is "threshold"'],
  [{ threshold: 7 }, "threshold is 7, not a number of 0..1, or null"],
  [{ threshold: Number.NaN }, "threshold is NaN"],
  [{ sync: "x" }, 'sync is "x", not one of "frame", "live"'],
  [{ labels: "person" }, 'labels is "person", not a list of labels'],
  [{ labels: [1] }, "labels is Array"],
  [{ max: -1 }, "max is -1, not a number of at least 0"],
  [{ zones: {} }, "zones is Object, not a list"],
  [{ track: "yes" }, "track is"],
  [null, "not Null"],
])("refuses %o", (settings, message) => {
  expect(() => checkSettings(settings)).toThrow(ConfigInvalid);
  expect(() => checkSettings(settings)).toThrow(message);
});

it("tells of all that is wrong at once", () => {
  expect(() => checkSettings({ max: -1, threshold: 2 })).toThrow(/max is -1.*threshold is 2/);
});

it("checks what watchVideo takes too", () => {
  const video = { [Symbol.toStringTag]: "HTMLVideoElement" };
  checkOptions(video, { model: "/model/", transport: "webrtc", onResult: () => undefined });
  expect(() => checkOptions(null, { model: "/model/" })).toThrow("takes a <video>, not Null");
  expect(() => checkOptions(video, { transport: "carrier" })).toThrow('transport is "carrier"');
  expect(() => checkOptions(video, { onresult: 1 })).toThrow('the nearest is "onResult"');
  expect(() => checkOptions(video, { onResult: 1 })).toThrow("onResult is 1, not a function");
});
