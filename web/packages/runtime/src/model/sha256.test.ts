import { expect, it } from "vitest";
import { sha256Hex, sha256OfModel } from "./sha256";

const ascii = (text: string) => new TextEncoder().encode(text);

// FIPS 180-4's own examples: one block, two blocks, nothing.
it.each([
  ["abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
  [
    "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
  ],
  ["", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
])("digests %j as FIPS 180-4 says", (text, digest) => {
  expect(sha256Hex(ascii(text))).toBe(digest);
});

it("agrees with the platform's at every length around the block borders", async () => {
  for (let length = 50; length < 140; length++) {
    const bytes = Uint8Array.from({ length }, (_, index) => (index * 37 + length) & 255);
    expect(sha256Hex(bytes)).toBe(await sha256OfModel(bytes));
  }
});
