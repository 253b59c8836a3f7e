/** How a stream is offered to the server: codecs, candidates, the request and its answer. */
import { MediaBlocked, RemoteRefused, RemoteUnreachable } from "../errors";
import { addressOf, credentials, errorOf, type RemoteOptions, toQuery } from "./wire";

/** Candidates of this machine come at once; those of unreachable STUN servers never. */
const GATHERING_MS = 2000;
const ANSWER_MS = 10_000;

/** What both sides are sure to have; their retransmissions and error correction stay. */
export function preferredCodecs<C extends CodecLike>(codecs: readonly C[]): C[] {
  const rank = ({ mimeType, sdpFmtpLine = "" }: C): number => {
    const name = mimeType.toLowerCase();
    if (name === "video/vp8") return 0;
    // Constrained baseline, the one profile of H.264 that every decoder has (RFC 7742, 5).
    if (name === "video/h264" && /profile-level-id=42[0-9a-f]0/i.test(sdpFmtpLine)) return 1;
    return /^video\/(rtx|red|ulpfec|flexfec-03)$/.test(name) ? 2 : 3;
  };
  return codecs
    .filter((codec) => rank(codec) < 3)
    .sort((first, second) => rank(first) - rank(second));
}

interface CodecLike {
  readonly mimeType: string;
  readonly sdpFmtpLine?: string;
}

/** Set the offer and wait for its candidates: the server takes them all at once. */
export async function gatherOffer(peer: RTCPeerConnection, signal: AbortSignal): Promise<string> {
  await peer.setLocalDescription();
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, GATHERING_MS);
    const look = () => {
      if (peer.iceGatheringState !== "complete" && !signal.aborted) return;
      clearTimeout(timer);
      resolve();
    };
    peer.addEventListener("icegatheringstatechange", look);
    signal.addEventListener("abort", look, { once: true });
    look();
  });
  signal.throwIfAborted();
  const sdp = peer.localDescription?.sdp ?? "";
  if (!sdp.includes("a=candidate:")) {
    throw new MediaBlocked(
      "this browser gives no network address for WebRTC; WebSocket goes the way of the page itself",
    );
  }
  return sdp;
}

/** The server's side of a session. */
export interface Session {
  readonly sdp: string;
  /** Where the session is ended; null where the server tells none. */
  readonly url: URL | null;
}

/** Offer the stream. Rejects with a RemoteError. */
export async function postOffer(
  sdp: string,
  options: RemoteOptions,
  signal: AbortSignal,
): Promise<Session> {
  let response: Response;
  let value: unknown;
  try {
    response = await fetch(addressOf(options, "v1/webrtc/offer"), {
      method: "POST",
      headers: { "Content-Type": "application/json", ...credentials(options) },
      body: JSON.stringify({ ...toQuery(options), type: "offer", sdp }),
      signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]),
    });
    value = await response.json();
  } catch (error) {
    signal.throwIfAborted();
    const isLate = error instanceof DOMException && error.name === "TimeoutError";
    throw new RemoteUnreachable(
      isLate ? "the server did not answer in time" : "the server cannot be reached",
    );
  }
  if (!response.ok) throw errorOf(value);
  const { sdp: answer, session } = (value ?? {}) as Record<string, unknown>;
  if (typeof answer !== "string") {
    throw new RemoteRefused("the server's answer to the offer has no sdp");
  }
  const path = typeof session === "string" ? `v1/webrtc/${encodeURIComponent(session)}` : null;
  return { sdp: answer, url: path === null ? null : addressOf(options, path) };
}

/** Tell the server that the session is over, also while the page is being left. */
export function endSession(url: URL, options: RemoteOptions): void {
  const request = { method: "DELETE", keepalive: true, headers: credentials(options) };
  fetch(url, request).catch(() => undefined); // the server notices by itself, only later
}
