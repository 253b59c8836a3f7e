import { expect, it } from "vitest";
import type { Frame } from "../device/protocol";
import { DetectorDisposed } from "../errors";
import { NewestFirst } from "./newest";

/** Frames by name, what became of them, and answers to be given by hand. */
function queue() {
  const sent: string[] = [];
  const closed: string[] = [];
  const answers: ((text: string) => void)[] = [];
  const frame = (name: string) => ({ name, close: () => closed.push(name) }) as unknown as Frame;
  const frames = new NewestFirst<string>(({ frame }) => {
    sent.push((frame as unknown as { name: string }).name);
    return new Promise((resolve) => answers.push(resolve));
  });
  const add = (name: string) => frames.add(frame(name), {});
  return { frames, add, sent, closed, answers };
}

it("sends one at a time, and of those that come meanwhile the newest", async () => {
  const { frames, add, sent, closed, answers } = queue();
  frames.open();
  const first = add("a");
  const replaced = add("b");
  const last = add("c");
  expect(sent).toEqual(["a"]);
  expect(await replaced).toBeNull();
  expect(closed).toEqual(["b"]);
  answers[0]?.("of a");
  expect(await first).toBe("of a");
  await Promise.resolve();
  expect(sent).toEqual(["a", "c"]);
  answers[1]?.("of c");
  expect(await last).toBe("of c");
});

it("holds the newest frame while it is not open", async () => {
  const { frames, add, sent } = queue();
  add("a");
  add("b");
  expect(sent).toEqual([]);
  frames.open();
  expect(sent).toEqual(["b"]);
});

it("closes what comes after the end, and tells why", async () => {
  const { frames, add, sent, closed } = queue();
  const waiting = add("a");
  frames.end(new DetectorDisposed("over"), { isTold: true });
  await expect(waiting).rejects.toThrow(DetectorDisposed);
  await expect(add("b")).rejects.toThrow("over");
  expect(closed).toEqual(["a", "b"]);
  expect(sent).toEqual([]);
});
