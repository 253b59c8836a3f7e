import * as runtime from "@sightline/web";
import { describe, expect, it } from "vitest";
import { parseCatalogue } from "./catalogue";
import * as problems from "./problems";

describe("describeProblem", () => {
  it("has a title of its own for every cause on the page", () => {
    const causes = Object.values(problems).filter(
      (value): value is typeof problems.PageError =>
        typeof value === "function" && value.prototype instanceof problems.PageError,
    );
    const titles = causes.map((Cause) => problems.describeProblem(new Cause("x")).title);
    expect(new Set(titles).size).toBe(causes.length);
    expect(titles).not.toContain("Something went wrong");
  });
});

describe("parseCatalogue", () => {
  const base = new URL("https://example.test/app/v1/models");
  const model = {
    name: "a",
    manifest: "/models/a/manifest.json",
    graph: "/models/a/model.onnx",
    labels: ["cat"],
    score_threshold: 0.4,
  };

  it("resolves addresses against the page's", () => {
    const catalogue = parseCatalogue({ models: [model], sample_clip: "/sample-clip" }, base);
    expect(catalogue.models[0].location?.graphUrl).toBe("https://example.test/models/a/model.onnx");
    expect(catalogue.sampleClipUrl).toBe("https://example.test/sample-clip");
    expect(parseCatalogue({ models: [model], sample_clip: null }, base).sampleClipUrl).toBeNull();
  });

  it("refuses what it does not know", () => {
    expect(() => parseCatalogue({ models: [] }, base)).toThrow(problems.NoModels);
    expect(() => parseCatalogue(null, base)).toThrow(runtime.ManifestInvalid);
    expect(() => parseCatalogue({ models: [{ name: 1 }] }, base)).toThrow(runtime.ManifestInvalid);
  });
});
