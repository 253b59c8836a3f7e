/**
 * Detection on a server over WebRTC: any MediaStream goes there as video, and what is in its
 * frames comes back, tied to them by time. A stream that this page itself receives from another
 * peer is forwarded alike.
 */
import type { Detection } from "../device/detector";
import { type RemoteError, StreamUnsendable } from "../errors";
import { DEFAULT_MAX_WIDTH } from "./jpeg";
import { sendTrack } from "./peer";
import { keepConnected, type RemoteState } from "./reconnect";
import { type RemoteOptions, type RemoteResult, toResult } from "./wire";

export interface WebRtcOptions extends RemoteOptions {
  /** Its first video track is sent; it stays the caller's, to stop when done. */
  readonly stream: MediaStream;
  readonly onResult: (result: RemoteResult) => void;
  readonly onState?: (state: RemoteState) => void;
  /** An error of one frame; the stream goes on. */
  readonly onFrameError?: (error: RemoteError) => void;
  /** STUN and TURN servers for ways beyond the local network; none by default. */
  readonly iceServers?: readonly RTCIceServer[];
  /** Wider video is made so wide before it is sent. */
  readonly maxWidth?: number;
}

export interface RemoteStream {
  /** Go on with another least score. */
  setThreshold(threshold: number): void;
  close(): void;
}

/** A stream that connects by itself, now and again when the connection broke. */
export function connectWebRtc(options: WebRtcOptions): RemoteStream {
  const { stream, onResult, onState, onFrameError, maxWidth = DEFAULT_MAX_WIDTH } = options;
  const ending = new AbortController();
  let { threshold } = options;
  let channel: RTCDataChannel | null = null;
  let labels: readonly string[] = [];
  let last: readonly Detection[] = [];

  const connect = async (ready: Parameters<typeof sendTrack>[2], signal: AbortSignal) => {
    const [track] = stream.getVideoTracks();
    if (track === undefined) throw new StreamUnsendable("the stream has no video");
    const asked = { ...options, maxWidth, ...(threshold === undefined ? {} : { threshold }) };
    try {
      return await sendTrack(track, asked, ready, signal, {
        onOpen: (opened) => {
          channel = opened;
        },
        onAnswer: (answer, capturedAt) => {
          const result = toResult(answer, labels, capturedAt, last);
          last = result.detections;
          onResult(result);
        },
        onFrameError: (error) => onFrameError?.(error),
      });
    } finally {
      channel = null;
    }
  };
  const follow = (state: RemoteState) => {
    if (state.kind === "ready") {
      labels = state.labels;
      last = [];
    }
    onState?.(state);
  };
  const close = () => {
    ending.abort(new StreamUnsendable("the connection was closed"));
    window.removeEventListener("pagehide", close);
  };
  // The server would otherwise notice after half a minute that the page is gone.
  window.addEventListener("pagehide", close);
  keepConnected(connect, follow, ending.signal);
  return {
    setThreshold: (least) => {
      threshold = least;
      if (channel?.readyState === "open") {
        channel.send(JSON.stringify({ type: "options", threshold }));
      }
    },
    close,
  };
}
