import { describe, expect, it } from "vitest";
import { ConfigInvalid } from "../errors";
import { readAttributes } from "./attributes";

const EVERY = { onMotion: false };
const ON_MOTION = { onMotion: true };

/** As HTML does, names in any case. */
function read(attributes: Record<string, string>, kind = EVERY) {
  const lower = new Map(
    Object.entries(attributes).map(([name, text]) => [name.toLowerCase(), text]),
  );
  const source = lower.has("data-source") ? {} : { "data-source": "myVideo" };
  const all = new Map([...lower, ...Object.entries(source)]);
  return readAttributes(
    (name) => all.get(name.toLowerCase()) ?? null,
    kind,
    "https://page.test/a/b",
  );
}

describe("readAttributes", () => {
  it("has the defaults of 2017", () => {
    expect(read({})).toEqual({
      source: "myVideo",
      place: { server: "https://page.test/image", transport: "http", maxWidth: 640 },
      settings: { threshold: 0.5, mirror: false, sync: "live" },
    });
    expect(read({}, ON_MOTION).settings).toEqual({
      threshold: 0.5,
      mirror: false,
      sync: "live",
      motion: true,
      motionFactor: 1,
      minIntervalMs: 200,
    });
  });

  it("takes the attributes of 2017", () => {
    const attributes = {
      "data-uploadWidth": "320",
      "data-scoreThreshold": "0.7",
      "data-apiServer": "https://other.test:5000/image",
      "data-updateInterval": "1000",
      "data-motionThreshold": "0.1",
    };
    const { place, settings } = read(attributes, ON_MOTION);
    expect(place).toEqual({
      server: "https://other.test:5000/image",
      transport: "http",
      maxWidth: 320,
    });
    expect(settings).toMatchObject({ threshold: 0.7, minIntervalMs: 1000, motionFactor: 2 });
    expect(read(attributes).settings.minIntervalMs).toBeUndefined();
  });

  it.each([
    ["true", true],
    ["", true],
    ["yes", true],
    ["false", false],
    ["False", false],
    ["0", false],
    ["no", false],
  ])("reads data-mirror=%j", (text, expected) => {
    expect(read({ "data-mirror": text }).settings.mirror).toBe(expected);
  });

  it("stays on this device with a model", () => {
    const { place } = read({ "data-model": "/models/pets/", "data-transport": "websocket" });
    expect(place).toEqual({ model: "/models/pets/" });
  });

  it.each(["http", "websocket", "webrtc"])("takes %s and a token", (transport) => {
    const { place } = read({ "data-transport": transport, "data-token": "open-sesame" });
    expect(place).toMatchObject({ transport, token: "open-sesame" });
  });

  it.each([
    [{ "data-source": "" }, "data-source"],
    [{ "data-scoreThreshold": "half" }, "data-scoreThreshold"],
    [{ "data-scoreThreshold": "50" }, "from 0 to 1"],
    [{ "data-uploadWidth": "-1" }, "data-uploadWidth"],
    [{ "data-transport": "carrier pigeon" }, "http, websocket, webrtc"],
  ])("says what is wrong with %j", (attributes, words) => {
    expect(() => read(attributes)).toThrow(ConfigInvalid);
    expect(() => read(attributes)).toThrow(words);
  });
});
