import { describe, expect, it } from "vitest";
import { parseCatalogue } from "./catalogue";
import { NoModels } from "./problems";

const BASE = new URL("https://example.test/v1/models");
const ONNX = { name: "a", manifest: "/models/a/manifest.json", graph: "/models/a/model.onnx" };
const SAVED = { name: "b", manifest: "/models/b/manifest.json", graph: null };

describe("parseCatalogue", () => {
  it("leaves out what the page cannot run", () => {
    const { models } = parseCatalogue({ models: [SAVED, ONNX], sample_clip: null }, BASE);
    expect(models.map(({ name }) => name)).toEqual(["a"]);
    expect(models[0].graphUrl).toBe("https://example.test/models/a/model.onnx");
  });

  it("says why there is none", () => {
    expect(() => parseCatalogue({ models: [] }, BASE)).toThrow("start it with one");
    expect(() => parseCatalogue({ models: [SAVED] }, BASE)).toThrow(NoModels);
    expect(() => parseCatalogue({ models: [SAVED] }, BASE)).toThrow("run on the server alone");
  });
});
