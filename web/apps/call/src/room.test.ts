import { expect, test } from "vitest";
import { readSignal } from "./room";

test("a signal is an offer or an answer, or tells whether anything is shown", () => {
  const description = { type: "offer", sdp: "v=0" };
  expect(readSignal(JSON.stringify({ description, isShowing: true }))).toEqual({
    description,
    isShowing: true,
  });
  expect(readSignal('{"isShowing": true}')).toEqual({ isShowing: true });
  expect(readSignal("{}")).toEqual({ isShowing: false });
});

test.each([
  "",
  "null",
  "7",
  '"offer"',
  '{"description": null}',
  '{"description": {"type": "rollback", "sdp": ""}}',
  '{"description": {"type": "offer"}}',
])("what another program may send is none: %s", (text) => {
  expect(readSignal(text)).toBeNull();
});
