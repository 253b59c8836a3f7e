import { describe, expect, it } from "vitest";
import { DEFAULT_SETTINGS } from "../video/watch";
import { isOn, readSettings, readTransport } from "./attributes";

const from = (attributes: Record<string, string>) => (name: string) => attributes[name] ?? null;

describe("readSettings", () => {
  it("gives the defaults where nothing is said", () => {
    expect({ ...DEFAULT_SETTINGS, ...readSettings(from({})).settings }).toEqual(DEFAULT_SETTINGS);
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
    expect(readSettings(from(attributes)).settings).toEqual({
      threshold: 0.4,
      labels: ["person", "traffic light"],
      max: 5,
      track: true,
      motion: true,
      mirror: false,
      sync: "live",
      lines: [],
      zones: [],
    });
  });

  it.each([{ threshold: "40" }, { threshold: "high" }, { max: "-1" }, { sync: "both" }])(
    "leaves out %o and says why",
    (attributes: Record<string, string>) => {
      const [[name = "", value] = []] = Object.entries(attributes);
      const { settings, problems } = readSettings(from({ track: "", ...attributes }));
      expect(Object.keys(settings)).not.toContain(name);
      expect(settings.track).toBe(true);
      expect(problems.map(({ message }) => message)).toEqual([
        expect.stringContaining(`${name}="${value}"`),
      ]);
    },
  );

  it("reads lines and zones as JSON", () => {
    const line = { name: "door", from: [0, 0.5], to: [1, 0.5] };
    expect(readSettings(from({ lines: JSON.stringify([line]) })).settings.lines).toEqual([line]);
    const { settings, problems } = readSettings(from({ zones: "{", lines: '[{"name": "a"}]' }));
    expect(settings).not.toHaveProperty("zones");
    expect(problems.map(({ message }) => message)).toEqual([
      expect.stringContaining('"from" of the line "a"'),
      expect.stringContaining("zones is not JSON"),
    ]);
    expect(readSettings(from({ zones: "{}" })).problems[0]?.message).toContain("not a list");
  });
});

it("knows the ways to a server, and refuses others", () => {
  expect(readTransport(from({ transport: "webrtc" }))).toBe("webrtc");
  expect(readTransport(from({}))).toBeNull();
  expect(() => readTransport(from({ transport: "pigeon" }))).toThrow("http, websocket, webrtc");
});

it("takes an attribute without a value for yes", () => {
  expect([isOn(""), isOn("false"), isOn(null)]).toEqual([true, false, false]);
});
