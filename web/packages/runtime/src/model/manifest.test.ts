import { describe, expect, it } from "vitest";
import { ManifestInvalid, ManifestTooNew } from "../errors";
import { parseManifest } from "./manifest";

const manifest = () => ({
  format_version: 1,
  name: "kangaroos",
  labels: ["kangaroo", "wallaby"],
  input: {
    name: "image",
    width: 416,
    height: 320,
    batch: 1,
    dtype: "uint8",
    layout: "NHWC",
    color: "RGB",
    resize: "stretch",
    interpolation: "bilinear-antialias",
  },
  outputs: {
    boxes: "boxes",
    scores: "scores",
    labels: "labels",
    box_format: "xyxy_norm",
    max_detections: 300,
  },
  score_threshold: 0.4,
  nms_iou: null as number | null,
  files: { "model.onnx": { size: 12, sha256: "ab".repeat(32) } } as Record<string, unknown>,
});

describe("parseManifest", () => {
  it("reads what a caller must know", () => {
    expect(parseManifest(manifest(), "m.json")).toEqual({
      name: "kangaroos",
      runtime: "onnx",
      labels: ["kangaroo", "wallaby"],
      width: 416,
      height: 320,
      resize: "stretch",
      scoreThreshold: 0.4,
      nmsIou: null,
      maxDetections: 300,
      inputName: "image",
      outputNames: ["boxes", "scores", "labels"],
      boxFormat: "xyxy_norm",
      firstLabel: 0,
      graph: { name: "model.onnx", size: 12, sha256: "ab".repeat(32) },
      files: [{ name: "model.onnx", size: 12, sha256: "ab".repeat(32) }],
    });
    expect(parseManifest({ ...manifest(), nms_iou: 0.7 }, "m.json").nmsIou).toBe(0.7);
    const letterboxed = { ...manifest(), input: { ...manifest().input, resize: "letterbox" } };
    expect(parseManifest(letterboxed, "m.json").resize).toBe("letterbox");
  });

  it("reads what TensorFlow.js needs, and no other files", () => {
    const entry = { size: 12, sha256: "ab".repeat(32) };
    const graphModel = {
      ...manifest(),
      target: "tfjs",
      input: { ...manifest().input, name: "input_tensor", resize: "in-graph" },
      outputs: {
        boxes: "detection_boxes",
        scores: "detection_scores",
        labels: "detection_classes",
        box_format: "yxyx_norm",
        first_label: 1,
        max_detections: 100,
      },
      files: { "labelmap.pbtxt": entry, "group1-shard1of1.bin": entry, "model.json": entry },
    };
    expect(parseManifest(graphModel, "m.json")).toMatchObject({
      runtime: "tfjs",
      resize: "stretch",
      inputName: "input_tensor",
      outputNames: ["detection_boxes", "detection_scores", "detection_classes"],
      boxFormat: "yxyx_norm",
      firstLabel: 1,
      graph: { name: "model.json" },
      files: [{ name: "model.json" }, { name: "group1-shard1of1.bin" }],
    });
  });

  it("reads smaller ONNX models as they are", () => {
    expect(parseManifest({ ...manifest(), target: "onnx-int8" }, "m.json").runtime).toBe("onnx");
  });

  it("says so when the model is of a later version", () => {
    expect(() => parseManifest({ ...manifest(), format_version: 2 }, "m.json")).toThrow(
      ManifestTooNew,
    );
  });

  it.each([
    ["the manifest", null],
    ["the manifest", []],
    ["format_version", { ...manifest(), format_version: "1" }],
    ["labels", { ...manifest(), labels: [] }],
    ["labels", { ...manifest(), labels: ["a", ""] }],
    ["score_threshold", { ...manifest(), score_threshold: 1.5 }],
    ["score_threshold", { ...manifest(), score_threshold: Number.NaN }],
    ["nms_iou", { ...manifest(), nms_iou: "0.5" }],
    ["input.width", { ...manifest(), input: { ...manifest().input, width: 0 } }],
    ["input.batch", { ...manifest(), input: { ...manifest().input, batch: 4 } }],
    ["input.layout", { ...manifest(), input: { ...manifest().input, layout: "NCHW" } }],
    ["input.resize", { ...manifest(), input: { ...manifest().input, resize: "in-graph" } }],
    ["outputs", { ...manifest(), outputs: undefined }],
    ["target", { ...manifest(), target: "savedmodel" }],
    ["files.model.json", { ...manifest(), target: "tfjs" }],
    [
      "outputs.box_format",
      { ...manifest(), outputs: { ...manifest().outputs, box_format: "cxcywh" } },
    ],
    [
      "files.../w.bin",
      {
        ...manifest(),
        target: "tfjs",
        files: {
          "model.json": { size: 1, sha256: "ab".repeat(32) },
          "../w.bin": { size: 1, sha256: "ab".repeat(32) },
        },
      },
    ],
    ["files.model.onnx", { ...manifest(), files: {} }],
    [
      "files.model.onnx.sha256",
      { ...manifest(), files: { "model.onnx": { size: 1, sha256: "abc" } } },
    ],
  ])("names the field that is wrong: %s", (field, value) => {
    expect(() => parseManifest(value, "m.json")).toThrow(ManifestInvalid);
    expect(() => parseManifest(value, "m.json")).toThrow(`m.json: ${field}: `);
  });
});
