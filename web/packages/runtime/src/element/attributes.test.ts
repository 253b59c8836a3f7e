import { describe, expect, it } from "vitest";
import { ConfigInvalid } from "../errors";
import { DEFAULT_SETTINGS } from "../video/watch";
import { isOn, readRegions, readSettings, readTransport } from "./attributes";

const from = (attributes: Record<string, string>) => (name: string) => attributes[name] ?? null;

describe("readSettings", () => {
  it("gives the defaults where nothing is said", () => {
    expect({ ...DEFAULT_SETTINGS, ...readSettings(from({})) }).toEqual(DEFAULT_SETTINGS);
  });

  it("reads every setting", () => {
    const attributes = {
      threshold: "0.4",
      classes: " person, traffic light ,",
      max: "5",
      track: "",
      motion: "true",
      mirror: "false",
      sync: "live",
    };
    expect(readSettings(from(attributes))).toEqual({
      threshold: 0.4,
      labels: ["person", "traffic light"],
      max: 5,
      track: true,
      motion: true,
      mirror: false,
      sync: "live",
    });
  });

  it.each([{ threshold: "40" }, { threshold: "high" }, { max: "-1" }, { sync: "both" }])(
    "refuses %o",
    (attributes: Record<string, string>) => {
      const [[name, value] = []] = Object.entries(attributes);
      expect(() => readSettings(from(attributes))).toThrow(ConfigInvalid);
      expect(() => readSettings(from(attributes))).toThrow(`${name}="${value}"`);
    },
  );
});

it("reads lines and zones as JSON, and leaves out what is not given", () => {
  const line = { name: "door", from: [0, 0.5], to: [1, 0.5] };
  expect(readRegions(from({ lines: JSON.stringify([line]) }))).toEqual({ lines: [line] });
  expect(() => readRegions(from({ zones: "{" }))).toThrow(ConfigInvalid);
  expect(() => readRegions(from({ zones: "{}" }))).toThrow("not a list");
});

it("knows the ways to a server, and refuses others", () => {
  expect(readTransport(from({ transport: "webrtc" }))).toBe("webrtc");
  expect(readTransport(from({}))).toBeNull();
  expect(() => readTransport(from({ transport: "pigeon" }))).toThrow("http, websocket, webrtc");
});

it("takes an attribute without a value for yes", () => {
  expect([isOn(""), isOn("false"), isOn(null)]).toEqual([true, false, false]);
});
