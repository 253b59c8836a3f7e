import { expect, it } from "vitest";
import { preferredCodecs } from "./offer";

it("offers VP8, then H.264 baseline, then what repairs them, and nothing else", () => {
  const codec = (mimeType: string, sdpFmtpLine = "") => ({ mimeType, sdpFmtpLine });
  const baseline = codec("video/H264", "packetization-mode=1;profile-level-id=42e01f");
  const offered = preferredCodecs([
    codec("video/AV1"),
    codec("video/rtx"),
    codec("video/VP9"),
    codec("video/H264", "packetization-mode=1;profile-level-id=640c1f"),
    baseline,
    codec("video/VP8"),
    codec("video/ulpfec"),
  ]);
  expect(offered).toEqual([
    codec("video/VP8"),
    baseline,
    codec("video/rtx"),
    codec("video/ulpfec"),
  ]);
});
