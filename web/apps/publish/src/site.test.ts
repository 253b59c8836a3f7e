import { describe, expect, it } from "vitest";
import { isolated, partOf, pathIn, pathsToKeep, sha256 } from "./site";

describe("pathIn", () => {
  const scope = new URL("https://example.test/user/site/");

  it.each([
    ["https://example.test/user/site/", "index.html"],
    ["https://example.test/user/site/?model=a#x", "index.html"],
    ["https://example.test/user/site/models/a%20b/model.onnx", "models/a b/model.onnx"],
    ["https://example.test/user/other/", null],
    ["https://example.test/user/site", null],
    ["https://elsewhere.test/user/site/", null],
  ])("%s is %s", (address, path) => {
    expect(pathIn(scope, address)).toBe(path);
  });
});

it("keeps what is not optional, in the list's order", () => {
  const file = { sha256: "", type: "", gzip: false };
  const files = {
    b: { ...file, optional: false },
    gpu: { ...file, optional: true },
    a: { ...file, optional: false },
  };
  expect(pathsToKeep({ version: "1", files })).toEqual(["b", "a"]);
});

it("isolates an answer and keeps its status", () => {
  const found = isolated(new Response("x", { status: 404, headers: { "Content-Length": "9" } }));
  expect(found.status).toBe(404);
  expect(found.headers.get("Cross-Origin-Embedder-Policy")).toBe("require-corp");
  expect(found.headers.get("Cross-Origin-Opener-Policy")).toBe("same-origin");
  expect(found.headers.has("Content-Length")).toBe(false);
  expect(isolated(new Response("x"), "application/wasm").headers.get("Content-Type")).toBe(
    "application/wasm",
  );
});

// RFC 9110, 14.1.2: first-last, first-, and the last so many.
it.each([
  ["bytes=0-", 206, "bytes 0-4/5", "abcde"],
  ["bytes=1-2", 206, "bytes 1-2/5", "bc"],
  ["bytes=3-99", 206, "bytes 3-4/5", "de"],
  ["bytes=-2", 206, "bytes 3-4/5", "de"],
  ["bytes=5-", 416, "bytes */5", ""],
  ["lines=1-2", 200, null, "abcde"],
])("answers %s", async (range, status, contentRange, body) => {
  const part = await partOf(new Response("abcde"), range);
  expect([part.status, part.headers.get("Content-Range")]).toEqual([status, contentRange]);
  expect(await part.text()).toBe(body);
});

it("digests as FIPS 180-4 says", async () => {
  const bytes = new TextEncoder().encode("abc");
  expect(await sha256(bytes.buffer)).toMatch(/^ba7816bf8f01cfea.*f20015ad$/);
});
