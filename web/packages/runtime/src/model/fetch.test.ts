import { afterEach, describe, expect, it, vi } from "vitest";
import { ManifestInvalid, ModelNotFound, ModelTruncated, ModelUnreachable } from "../errors";
import { fetchGraph, fetchManifest } from "./fetch";
import type { Manifest } from "./manifest";

// fetch is the seam: what a server or a broken line can answer.
function answerWith(answer: () => Response | Promise<Response>): void {
  vi.stubGlobal("fetch", async () => answer());
}

afterEach(() => vi.unstubAllGlobals());

const manifestOf = (size: number) => ({ graph: { size, sha256: "" } }) as Manifest;

function streamed(...parts: (Uint8Array<ArrayBuffer> | Error)[]): Response {
  const body = new ReadableStream({
    pull(controller) {
      const part = parts.shift();
      if (part === undefined) controller.close();
      else if (part instanceof Error) controller.error(part);
      else controller.enqueue(part);
    },
  });
  return new Response(body);
}

describe("fetchGraph", () => {
  it("joins the parts and reports progress up to the whole", async () => {
    answerWith(() => streamed(new Uint8Array([1, 2]), new Uint8Array([3])));
    const progress: number[] = [];
    const bytes = await fetchGraph("m.onnx", manifestOf(3), (loaded) => progress.push(loaded));
    expect([...bytes]).toEqual([1, 2, 3]);
    expect(progress).toEqual([2, 3]);
  });

  it("knows a missing file, a failing server and no server apart", async () => {
    answerWith(() => new Response(null, { status: 404 }));
    await expect(fetchGraph("m.onnx", manifestOf(1))).rejects.toThrow(ModelNotFound);
    answerWith(() => new Response(null, { status: 503, statusText: "Service Unavailable" }));
    await expect(fetchGraph("m.onnx", manifestOf(1))).rejects.toThrow(/503 Service Unavailable/);
    answerWith(() => Promise.reject(new TypeError("Failed to fetch")));
    await expect(fetchGraph("m.onnx", manifestOf(1))).rejects.toThrow(
      new ModelUnreachable(
        "m.onnx cannot be had: the server cannot be reached; check that it runs",
      ),
    );
  });

  it("says how many bytes came when there are too few, too many, or the line breaks", async () => {
    answerWith(() => streamed(new Uint8Array(5)));
    await expect(fetchGraph("m.onnx", manifestOf(9))).rejects.toThrow(/: 5 bytes .* says 9/);
    answerWith(() => streamed(new Uint8Array(5), new Uint8Array(5)));
    await expect(fetchGraph("m.onnx", manifestOf(9))).rejects.toThrow(ModelTruncated);
    answerWith(() => streamed(new Uint8Array(5), new Error("reset")));
    await expect(fetchGraph("m.onnx", manifestOf(9))).rejects.toThrow(/5 \(reset\)/);
  });

  it("rejects with the signal's reason when aborted", async () => {
    const controller = new AbortController();
    answerWith(() => {
      controller.abort(new Error("another model was chosen"));
      return Promise.reject(controller.signal.reason);
    });
    const loading = fetchGraph("m.onnx", manifestOf(1), undefined, controller.signal);
    await expect(loading).rejects.toThrow("another model was chosen");
  });
});

describe("fetchManifest", () => {
  it("says so when the answer is not JSON", async () => {
    answerWith(() => new Response("<html>"));
    await expect(fetchManifest("manifest.json")).rejects.toThrow(ManifestInvalid);
  });
});
