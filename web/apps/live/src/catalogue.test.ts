import { describe, expect, it } from "vitest";
import { parseCatalogue } from "./catalogue";
import { placeFor, placesOf, readPlace } from "./place";
import { NoModels } from "./problems";

const BASE = new URL("https://example.test/v1/models");
const FACTS = { labels: ["cat"], score_threshold: 0.4 };
const ONNX = {
  ...FACTS,
  name: "a",
  manifest: "/models/a/manifest.json",
  graph: "/models/a/model.onnx",
};
const SAVED = { ...FACTS, name: "b", manifest: "/models/b/manifest.json", graph: null };
const FILES = { ...SAVED, name: "c", detects: false };

describe("parseCatalogue", () => {
  it("tells where each model runs, and leaves out what runs nowhere", () => {
    const { models } = parseCatalogue({ models: [FILES, SAVED, ONNX], sample_clip: null }, BASE);
    expect(models.map(({ name }) => name)).toEqual(["b", "a"]);
    expect(models.map(placesOf)).toEqual([
      ["websocket", "webrtc"],
      ["device", "websocket", "webrtc"],
    ]);
    expect(models[1]?.location?.graphUrl).toBe("https://example.test/models/a/model.onnx");
    expect(models.map((model) => placeFor(model, "device"))).toEqual(["websocket", "device"]);
    expect(models.map((model) => placeFor(model, "webrtc"))).toEqual(["webrtc", "webrtc"]);
    const [alone] = parseCatalogue({ models: [{ ...ONNX, detects: false }] }, BASE).models;
    expect(placesOf(alone)).toEqual(["device"]);
  });

  it("finds the files of a published page beside its list, at any path", () => {
    const listing = new URL("https://example.test/some/where/catalogue-0a1b2c3d.json");
    const { models, sampleClipUrl } = parseCatalogue(
      {
        models: [{ ...FACTS, name: "a", manifest: "m/manifest.json", graph: "m/model.onnx" }],
        sample_clip: "assets/clip.webm",
      },
      listing,
    );
    expect(models[0].location?.manifestUrl).toBe("https://example.test/some/where/m/manifest.json");
    expect(sampleClipUrl).toBe("https://example.test/some/where/assets/clip.webm");
    expect(() => parseCatalogue({}, listing)).toThrow(
      "/some/where/catalogue-0a1b2c3d.json: models",
    );
  });

  it("has pages run graph models of TensorFlow.js", () => {
    const files = { "model.json": "/models/c/1/model.json" };
    const [model] = parseCatalogue({ models: [{ ...FILES, files }] }, BASE).models;
    expect(model.location?.graphUrl).toBe("https://example.test/models/c/1/model.json");
    expect(placesOf(model)).toEqual(["device"]);
  });

  it("says why there is none", () => {
    expect(() => parseCatalogue({ models: [] }, BASE)).toThrow("start it with one");
    expect(() => parseCatalogue({ models: [FILES] }, BASE)).toThrow(NoModels);
    expect(() => parseCatalogue({ models: [FILES] }, BASE)).toThrow("neither in this page");
  });
});

it.each([
  [null, "device"],
  ["server", "websocket"],
  ["websocket", "websocket"],
  ["webrtc", "webrtc"],
  ["elsewhere", "device"],
])("reads ?run=%s", (run, place) => {
  expect(readPlace(run)).toBe(place);
});
