import { beforeEach, expect, it, vi } from "vitest";
import type { Frame } from "../device/protocol";
import { DetectorDisposed, WorkerFailed } from "../errors";
import { type EncodeAnswer, JpegEncoder } from "./jpeg";

const encoded = { jpeg: new ArrayBuffer(3), width: 4, height: 2 };
const frame = { close: () => undefined } as Frame;
const request = { frame, motion: null };

/** What the browser's Worker looks like from the page. */
class FakeWorker {
  static last: FakeWorker;
  onmessage: ((event: { data: EncodeAnswer }) => void) | null = null;
  onerror: ((event: { message: string; preventDefault(): void }) => void) | null = null;
  isEnded = false;
  constructor() {
    FakeWorker.last = this;
  }
  postMessage(): void {}
  terminate(): void {
    this.isEnded = true;
  }
}

beforeEach(() => {
  vi.stubGlobal("location", new URL("https://example.test/"));
  vi.stubGlobal("Worker", FakeWorker);
});

it("lets the worker close the frame that it has before it ends it", async () => {
  const encoder = new JpegEncoder();
  const encoding = encoder.encode(request);
  encoder.end();
  await expect(encoding).rejects.toThrow(DetectorDisposed);
  expect(FakeWorker.last.isEnded).toBe(false);
  FakeWorker.last.onmessage?.({ data: encoded });
  expect(FakeWorker.last.isEnded).toBe(true);
});

it("ends an idle worker at once", async () => {
  const encoder = new JpegEncoder();
  const encoding = encoder.encode(request);
  FakeWorker.last.onmessage?.({ data: encoded });
  expect(await encoding).toBe(encoded);
  encoder.end();
  expect(FakeWorker.last.isEnded).toBe(true);
});

it("closes a frame that comes after the end", async () => {
  const encoder = new JpegEncoder();
  encoder.end();
  const close = vi.fn();
  const late = encoder.encode({ ...request, frame: { close } as unknown as Frame });
  await expect(late).rejects.toThrow(DetectorDisposed);
  expect(close).toHaveBeenCalledOnce();
});

it("ends a worker that failed, whatever it has", async () => {
  const encoder = new JpegEncoder();
  const encoding = encoder.encode(request);
  FakeWorker.last.onerror?.({ message: "gone", preventDefault: () => undefined });
  await expect(encoding).rejects.toThrow(WorkerFailed);
  expect(FakeWorker.last.isEnded).toBe(true);
});
