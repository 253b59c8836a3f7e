import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { forget, recall, remember } from "./remember";

// localStorage is the seam: what browsers keep, forbid, or have kept from before.
let kept: Map<string, string>;

beforeEach(() => {
  kept = new Map();
  vi.stubGlobal("localStorage", {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
  });
});

afterEach(() => vi.unstubAllGlobals());

const faster = { threads: 2, gpu: "faster" } as const;

describe("what was measured", () => {
  it("is known again for the same model on the same device alone", () => {
    remember("model", "device", faster);
    expect(recall("model", "device")).toMatchObject(faster);
    expect(recall("model", "another GPU")).toBeNull();
    expect(recall("another", "device")).toBeNull();
    forget("model");
    expect(recall("model", "device")).toBeNull();
  });

  it("is kept of the youngest models", () => {
    for (let model = 0; model < 20; model++) remember(`model ${model}`, "device", faster);
    expect(recall("model 3", "device")).toBeNull();
    expect(recall("model 4", "device")).toMatchObject(faster);
  });

  it("is not known where storage is forbidden, or holds something else", () => {
    kept.set("sightline-backends", '[["model", {"device": "device", "threads": "two"}]]');
    expect(recall("model", "device")).toBeNull();
    kept.set("sightline-backends", "{");
    expect(recall("model", "device")).toBeNull();
    vi.stubGlobal("localStorage", {
      getItem: () => {
        throw new DOMException("forbidden", "SecurityError");
      },
      setItem: () => {
        throw new DOMException("full", "QuotaExceededError");
      },
    });
    remember("model", "device", faster);
    expect(recall("model", "device")).toBeNull();
  });
});
