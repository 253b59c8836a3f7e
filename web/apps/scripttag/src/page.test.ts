import { expect, it } from "vitest";
import { countNames } from "./page";

it("counts what was found, in the order of the best", () => {
  expect(countNames(["dog", "cup", "dog"])).toBe("2 × dog, 1 × cup");
});
