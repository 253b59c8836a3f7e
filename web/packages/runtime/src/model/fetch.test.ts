import { afterEach, describe, expect, it, vi } from "vitest";
import {
  ManifestInvalid,
  ModelBlocked,
  ModelHashMismatch,
  ModelNotFound,
  ModelTruncated,
  ModelUnreachable,
} from "../errors";
import { fetchFile, fetchManifest } from "./fetch";
import { sha256Hex } from "./sha256";

// fetch is the seam: what a server or a broken line can answer.
function answerWith(answer: () => Response | Promise<Response>): void {
  vi.stubGlobal("fetch", async () => answer());
}

afterEach(() => vi.unstubAllGlobals());

function fetchBytes(...expected: number[]): Promise<Uint8Array> {
  const sha256 = sha256Hex(Uint8Array.from(expected));
  return fetchFile("m.onnx", { name: "m.onnx", size: expected.length, sha256 }, () => undefined);
}

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

describe("fetchFile", () => {
  it("joins the parts and tells how much has come", async () => {
    answerWith(() => streamed(new Uint8Array([1, 2]), new Uint8Array([3])));
    const progress: number[] = [];
    const file = { name: "m.onnx", size: 3, sha256: sha256Hex(new Uint8Array([1, 2, 3])) };
    const bytes = await fetchFile("m.onnx", file, (loaded) => progress.push(loaded));
    expect([...bytes]).toEqual([1, 2, 3]);
    expect(progress).toEqual([2, 3]);
  });

  it("knows a missing file, a failing server and no server apart", async () => {
    answerWith(() => new Response(null, { status: 404 }));
    await expect(fetchBytes(1)).rejects.toThrow(ModelNotFound);
    answerWith(() => new Response(null, { status: 503, statusText: "Service Unavailable" }));
    await expect(fetchBytes(1)).rejects.toThrow(/503 Service Unavailable/);
    answerWith(() => Promise.reject(new TypeError("Failed to fetch")));
    await expect(fetchBytes(1)).rejects.toThrow(
      new ModelUnreachable(
        "m.onnx cannot be had: the server cannot be reached; check that it runs",
      ),
    );
  });

  it("says how many bytes came when there are too few, too many, or the line breaks", async () => {
    answerWith(() => streamed(new Uint8Array(2)));
    await expect(fetchBytes(0, 0, 0)).rejects.toThrow(/: 2 bytes .* says 3/);
    answerWith(() => streamed(new Uint8Array(2), new Uint8Array(2)));
    await expect(fetchBytes(0, 0, 0)).rejects.toThrow(ModelTruncated);
    answerWith(() => streamed(new Uint8Array(2), new Error("reset")));
    await expect(fetchBytes(0, 0, 0)).rejects.toThrow(/2 \(reset\)/);
  });

  it("refuses other bytes than the manifest's, however many", async () => {
    answerWith(() => streamed(new Uint8Array([1, 2, 4])));
    await expect(fetchBytes(1, 2, 3)).rejects.toThrow(ModelHashMismatch);
  });

  it("rejects with the signal's reason when aborted", async () => {
    const controller = new AbortController();
    answerWith(() => {
      controller.abort(new Error("another model was chosen"));
      return Promise.reject(controller.signal.reason);
    });
    const { signal } = controller;
    const loading = fetchFile("m", { name: "m", size: 1, sha256: "" }, () => undefined, { signal });
    await expect(loading).rejects.toThrow("another model was chosen");
  });
});

describe("a server of another origin", () => {
  const url = "https://models.example/m/manifest.json";
  const from = (origin: string, href = `${origin}/`) => vi.stubGlobal("location", { origin, href });

  it("that answers, but not to this page, is told what to allow", async () => {
    from("https://page.example");
    vi.stubGlobal("fetch", async (_: string, { mode }: RequestInit) => {
      if (mode === "no-cors") return new Response();
      throw new TypeError("Failed to fetch");
    });
    const loading = fetchManifest(url);
    await expect(loading).rejects.toThrow(ModelBlocked);
    await expect(loading).rejects.toThrow("--cors-origin https://page.example");
  });

  it("that cannot be seen to answer may be gone, or not allow it", async () => {
    from("https://page.example");
    answerWith(() => Promise.reject(new TypeError("Failed to fetch")));
    const loading = fetchManifest(url);
    await expect(loading).rejects.toThrow(ModelUnreachable);
    await expect(loading).rejects.toThrow(/cannot be reached, or it does not let this page/);
  });

  it("is not looked for where this device is offline", async () => {
    from("https://page.example");
    vi.stubGlobal("navigator", { onLine: false });
    answerWith(() => Promise.reject(new TypeError("Failed to fetch")));
    await expect(fetchManifest(url)).rejects.toThrow(/this device is offline/);
  });
});

describe("fetchManifest", () => {
  it("says so when the answer is not JSON", async () => {
    answerWith(() => new Response("<html>"));
    await expect(fetchManifest("manifest.json")).rejects.toThrow(ManifestInvalid);
  });
});
