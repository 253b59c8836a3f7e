import { describe, expect, it } from "vitest";
import * as errors from "./errors";
import { type Cause, describeProblem } from "./problems";

const isCause = (value: unknown): value is Cause =>
  typeof value === "function" && value.prototype instanceof errors.SightlineError;

describe("describeProblem", () => {
  it("has a title of its own for every failure of the camera and the server", () => {
    const causes = Object.values<unknown>(errors)
      .filter(isCause)
      .filter(({ prototype }) =>
        [errors.CameraError, errors.RemoteError].some((Parent) => prototype instanceof Parent),
      );
    const titles = causes.map((Cause) => describeProblem(new Cause("x")).title);
    expect(new Set(titles).size).toBe(causes.length);
    expect(titles).not.toContain("Something went wrong");
  });

  it("names what is wrong with a model", () => {
    const titleOf = (error: Error) => describeProblem(error).title;
    expect(titleOf(new errors.ModelTruncated("x"))).toBe("The model did not arrive whole");
    expect(titleOf(new errors.ModelHashMismatch("x"))).toMatch(/not the one it should be/);
    expect(titleOf(new errors.GraphUnusable("x"))).toBe("The model cannot be used");
    expect(titleOf(new Error("x"))).toBe("Something went wrong");
  });

  it("makes a sentence of the message", () => {
    expect(describeProblem(new Error("no such thing")).advice).toBe("No such thing.");
    expect(describeProblem(new Error("Try again.")).advice).toBe("Try again.");
    expect(describeProblem(new Error("a.jpg is damaged")).advice).toBe("a.jpg is damaged.");
  });
});
