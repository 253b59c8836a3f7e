import * as runtime from "@sightline/web";
import { describe, expect, it } from "vitest";
import { cameraProblem } from "./camera";
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

  it("names what is wrong with a model", () => {
    const titleOf = (error: Error) => problems.describeProblem(error).title;
    expect(titleOf(new runtime.ModelTruncated("x"))).toBe("The model did not arrive whole");
    expect(titleOf(new runtime.ModelHashMismatch("x"))).toMatch(/not the one it should be/);
    expect(titleOf(new runtime.GraphUnusable("x"))).toBe("The model cannot be used");
    expect(titleOf(new Error("x"))).toBe("Something went wrong");
  });

  it("makes a sentence of the message", () => {
    expect(problems.describeProblem(new Error("no such thing")).advice).toBe("No such thing.");
    expect(problems.describeProblem(new Error("Try again.")).advice).toBe("Try again.");
    expect(problems.describeProblem(new Error("a.jpg is damaged")).advice).toBe(
      "a.jpg is damaged.",
    );
  });
});

it.each([
  ["NotAllowedError", problems.CameraDenied],
  ["NotFoundError", problems.CameraMissing],
  ["OverconstrainedError", problems.CameraMissing],
  ["NotReadableError", problems.CameraUnavailable],
  ["InvalidStateError", problems.CameraUnavailable],
])("reads getUserMedia's %s", (name, Cause) => {
  expect(cameraProblem(new DOMException("x", name))).toBeInstanceOf(Cause);
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
