import { describe, expect, it } from "vitest";
import golden from "../../../../../contracts/golden/postprocess.json";
import { letterboxSpan, postprocess } from "./postprocess";

describe("postprocess", () => {
  it.each(golden.cases)("gives the golden detections: $name", (item) => {
    const outputs = {
      boxesXyxyNorm: new Float32Array(item.boxes_xyxy_norm.flat()),
      scores: new Float32Array(item.scores),
      labelIds: new Int32Array(item.label_ids),
    };
    const found = postprocess(outputs, {
      threshold: item.threshold,
      nmsIou: item.nms_iou,
      width: item.width,
      height: item.height,
    });
    expect(found.boxesXyxy).toEqual(new Float32Array(item.boxes_xyxy.flat()));
    expect(found.scores).toEqual(
      Float32Array.from(item.kept, (index) => outputs.scores[index] ?? Number.NaN),
    );
    expect(found.labelIds).toEqual(
      Int32Array.from(item.kept, (index) => outputs.labelIds[index] ?? -1),
    );
  });

  it.each(golden.letterbox)("gives the golden boxes of letterboxed images: $name", (item) => {
    const size = ([width, height]: number[]) => ({ width: width ?? 0, height: height ?? 0 });
    const found = postprocess(
      {
        boxesXyxyNorm: new Float32Array(item.boxes_xyxy_norm.flat()),
        scores: new Float32Array([1]),
        labelIds: new Int32Array([0]),
      },
      { threshold: 0.5, nmsIou: null, ...letterboxSpan(size(item.image), size(item.input)) },
    );
    expect(found.boxesXyxy).toEqual(new Float32Array(item.boxes_xyxy.flat()));
  });

  it("stretches letterboxed boxes with frames that are shown in another size", () => {
    const input = { width: 416, height: 416 };
    const image = { width: 720, height: 576 };
    const plain = letterboxSpan(image, input);
    expect(plain.width).toBe(720);
    const shown = letterboxSpan(image, input, { width: 1024, height: 576 });
    expect(shown).toEqual({ width: 1024, height: plain.height });
  });

  it("gives the same at a high threshold as at a low one filtered afterwards", () => {
    // What the live page relies on when its slider moves: NMS never lets a worse box drop a better.
    const random = makeRandom(7);
    const count = 60;
    const outputs = {
      boxesXyxyNorm: Float32Array.from({ length: count * 4 }, (_, index) =>
        index % 4 < 2 ? random() * 0.5 : 0.5 + random() * 0.5,
      ),
      scores: Float32Array.from({ length: count }, random).sort().reverse(),
      labelIds: Int32Array.from({ length: count }, () => Math.floor(random() * 3)),
    };
    const options = { nmsIou: 0.6, width: 640, height: 360 };
    const all = postprocess(outputs, { ...options, threshold: 0.05 });
    for (const threshold of [0.1, 0.35, 0.8]) {
      const some = postprocess(outputs, { ...options, threshold });
      const expected = all.scores.filter((score) => score >= Math.fround(threshold));
      expect(some.scores).toEqual(expected);
      expect(some.boxesXyxy).toEqual(all.boxesXyxy.slice(0, expected.length * 4));
    }
  });
});

/** Reproducible numbers in 0..1 (a linear congruential generator, Numerical Recipes' constants). */
function makeRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
