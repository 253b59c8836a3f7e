import { expect, it } from "vitest";
import * as errors from "./errors";

const causes = Object.values(errors).filter(
  (value): value is typeof errors.SightlineError =>
    typeof value === "function" && value.prototype instanceof errors.SightlineError,
);

it("has a code of its own for every cause", () => {
  const codes = causes.map((Cause) => new Cause("x").code);
  expect(new Set(codes).size).toBe(codes.length);
  expect(causes.length).toBeGreaterThan(10);
});

it.each([
  errors.BackendUnsupported,
  errors.OutOfMemory,
  errors.GraphUnusable,
  errors.FrameUnusable,
  errors.InferenceFailed,
  errors.WebAssemblyUnsupported,
])("keeps %o over the worker's border", (Cause) => {
  const arrived = errors.fromWire(structuredClone(errors.toWire(new Cause("why"))));
  expect(arrived).toBeInstanceOf(Cause);
  expect(arrived.name).toBe(Cause.name);
  expect(arrived.message).toBe("why");
});

it("turns anything unforeseen into WorkerFailed, first line only", () => {
  const arrived = errors.fromWire(errors.toWire(new RangeError("bad\n  at somewhere")));
  expect(arrived).toBeInstanceOf(errors.WorkerFailed);
  expect(arrived.message).toBe("bad");
});
