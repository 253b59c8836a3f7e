import { describe, expect, it } from "vitest";
import { RemoteUnreachable } from "../errors";
import { parseAnswer2017, toAnswer2017 } from "./wire2017";

const ADDRESS = "https://old.test/image";
// The dog of the original article: width and height are its right and bottom edges.
const DOG = {
  name: "Object",
  class_name: "dog",
  score: 0.940691,
  y: 0.03908,
  x: 0.01922,
  height: 0.8721,
  width: 0.31577,
};

describe("parseAnswer2017", () => {
  it("reads the header and what was found", () => {
    const header = { name: "webrtcHacks", version: "0.0.1", numObjects: 1, threshold: 0.5 };
    const answer = parseAnswer2017(JSON.stringify([header, DOG]), ADDRESS);
    const { name, ...dog } = DOG;
    expect(answer).toEqual({ model: "webrtcHacks", threshold: 0.5, objects: [dog] });
  });

  it("does without a header, as clients of 2017 did", () => {
    const answer = parseAnswer2017(JSON.stringify([DOG]), ADDRESS);
    expect(answer.objects).toHaveLength(1);
    expect(answer.threshold).toBeNull();
  });

  it.each([
    "",
    "<h1>Internal Server Error</h1>",
    "{}",
    '[{"class_name": "dog"}]',
    '[{}, {"class_name": "dog", "score": null, "y": 0, "x": 0, "height": 1, "width": 1}]',
  ])("refuses %j, and says where it came from", (text) => {
    expect(() => parseAnswer2017(text, ADDRESS)).toThrow(RemoteUnreachable);
    expect(() => parseAnswer2017(text, ADDRESS)).toThrow(ADDRESS);
  });
});

it("writes what it reads", () => {
  const found = {
    width: 640,
    height: 360,
    detections: [
      { label: "dog", labelId: 3, score: 0.75, boxXyxy: [64, 36, 320, 270] as const },
      { label: "cat", labelId: 5, score: 0.5, boxXyxy: [0, 0, 640, 360] as const },
    ],
  };
  const answer = toAnswer2017(found, "pets", 0.25);
  expect(answer[0]).toEqual({ name: "pets", version: "0.0.1", numObjects: 2, threshold: 0.25 });
  expect(answer[1]).toEqual({
    name: "Object",
    class_name: "dog",
    score: 0.75,
    y: 0.1,
    x: 0.1,
    height: 0.75,
    width: 0.5,
  });
  const { objects, ...header } = parseAnswer2017(JSON.stringify(answer), ADDRESS);
  expect(header).toEqual({ model: "pets", threshold: 0.25 });
  expect(objects.map((found) => found.width)).toEqual([0.5, 1]);
});
