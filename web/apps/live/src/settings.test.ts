import { describe, expect, it } from "vitest";
import { parseSettings, withEntry } from "./settings";

describe("parseSettings", () => {
  it("reads back what was stored", () => {
    const chosen = {
      ...parseSettings(null),
      model: "atto",
      track: true,
      sync: "live" as const,
      classes: { atto: ["cat"], femto: [] },
      thresholds: { atto: 0.25 },
    };
    expect(parseSettings(JSON.stringify(chosen))).toEqual(chosen);
  });

  it.each(["", "{", "null", "[]", "7", '"x"'])("makes do with %j", (text) => {
    expect(parseSettings(text)).toEqual(parseSettings(null));
  });

  it("drops only what cannot be used", () => {
    const stored = {
      model: 7,
      track: "yes",
      motion: true,
      sync: "sideways",
      classes: { a: ["cat"], b: "cat", c: [1] },
      thresholds: { a: 2, b: 0.5, c: null },
    };
    expect(parseSettings(JSON.stringify(stored))).toEqual({
      ...parseSettings(null),
      motion: true,
      classes: { a: ["cat"] },
      thresholds: { b: 0.5 },
    });
  });
});

it("sets and takes out one entry of a record", () => {
  expect(withEntry({ a: 1 }, "b", 2)).toEqual({ a: 1, b: 2 });
  expect(withEntry({ a: 1, b: 2 }, "b", null)).toEqual({ a: 1 });
});
