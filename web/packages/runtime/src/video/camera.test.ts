import { expect, it } from "vitest";
import { CameraDenied, CameraMissing, CameraUnavailable } from "../errors";
import { cameraProblem } from "./camera";

it.each([
  ["NotAllowedError", CameraDenied],
  ["NotFoundError", CameraMissing],
  ["OverconstrainedError", CameraMissing],
  ["NotReadableError", CameraUnavailable],
  ["InvalidStateError", CameraUnavailable],
])("reads getUserMedia's %s", (name, Cause) => {
  expect(cameraProblem(new DOMException("x", name))).toBeInstanceOf(Cause);
});
