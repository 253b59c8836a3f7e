/** One WebRTC connection to the server, from the offer to its end. */
import { MediaBlocked, type RemoteError, RemoteUnreachable, StreamUnsendable } from "../errors";
import { startWorker } from "../workers";
import { FrameClock } from "./frameclock";
import type { TapMessage } from "./frametap";
import tapUrl from "./frametap?worker&url";
import { endSession, gatherOffer, postOffer, preferredCodecs } from "./offer";
import {
  type FrameAnswer,
  parseMessage,
  type Ready,
  type RemoteMessage,
  type RemoteOptions,
} from "./wire";

const CONNECT_MS = 15_000;
/** A path that is lost for so long is given up; shorter gaps, as in roaming, heal by themselves. */
const LOST_MS = 5000;
const PING_EVERY_MS = 1000;
/** Frames that leave and of which none is answered for so long do not arrive. */
const ANSWER_MS = 10_000;
const TAP_START_MS = 1000;

export interface PeerOptions extends RemoteOptions {
  readonly iceServers?: readonly RTCIceServer[];
  readonly maxWidth: number;
}

export interface PeerListener {
  onOpen(channel: RTCDataChannel): void;
  onAnswer(answer: FrameAnswer, capturedAt: number): void;
  onFrameError(error: RemoteError): void;
}

/** Send the track until the signal or an error ends it. Always rejects. */
export async function sendTrack(
  track: MediaStreamTrack,
  options: PeerOptions,
  ready: (state: Ready) => void,
  signal: AbortSignal,
  listener: PeerListener,
): Promise<never> {
  const session = new PeerSession(track, options, listener);
  try {
    return await session.run(ready, signal);
  } finally {
    session.close();
  }
}

class PeerSession {
  readonly #track: MediaStreamTrack;
  readonly #options: PeerOptions;
  readonly #listener: PeerListener;
  readonly #peer: RTCPeerConnection;
  readonly #channel: RTCDataChannel;
  readonly #clock = new FrameClock();
  readonly #closers: (() => void)[] = [];
  #pathMs = Number.POSITIVE_INFINITY;
  #isReady = false;
  #answerTimer: ReturnType<typeof setInterval> | undefined;

  constructor(track: MediaStreamTrack, options: PeerOptions, listener: PeerListener) {
    this.#track = track;
    this.#options = options;
    this.#listener = listener;
    // None but those given: a browser's own default is none too, libraries' may be a public one.
    this.#peer = new RTCPeerConnection({ iceServers: [...(options.iceServers ?? [])] });
    // A late result is worth nothing: the next one is on its way.
    this.#channel = this.#peer.createDataChannel("detections", {
      ordered: false,
      maxRetransmits: 0,
    });
  }

  async run(ready: (state: Ready) => void, signal: AbortSignal): Promise<never> {
    const ended = this.#watchForEnd(ready, signal);
    ended.catch(() => undefined); // it may reject while the offer is still being made
    const open = async (): Promise<never> => {
      this.#addTrack(await this.#openTap());
      const offer = await gatherOffer(this.#peer, signal);
      const session = await postOffer(offer, this.#options, signal);
      const { url } = session;
      if (url !== null) this.#closers.push(() => endSession(url, this.#options));
      await this.#peer.setRemoteDescription({ type: "answer", sdp: session.sdp });
      return await ended;
    };
    return await Promise.race([open(), ended]);
  }

  close(): void {
    for (const close of this.#closers) close();
    this.#channel.onclose = null;
    this.#peer.close();
  }

  #addTrack(tap: Worker | null): void {
    const { width = 0 } = this.#track.getSettings();
    const scaleResolutionDownBy = Math.max(1, width / this.#options.maxWidth);
    const transceiver = this.#peer.addTransceiver(this.#track, {
      direction: "sendonly",
      sendEncodings: [{ scaleResolutionDownBy }],
    });
    const codecs = RTCRtpSender.getCapabilities("video")?.codecs ?? [];
    transceiver.setCodecPreferences(preferredCodecs(codecs));
    // At once: Chromium takes a sender that has no transform by then for one without.
    if (tap !== null) transceiver.sender.transform = new RTCRtpScriptTransform(tap);
  }

  /** A worker that tells the frames' RTP timestamps as they leave; null where it cannot be. */
  async #openTap(): Promise<Worker | null> {
    if (typeof RTCRtpScriptTransform === "undefined") return null;
    const worker = startWorker(tapUrl);
    this.#closers.push(() => worker.terminate());
    return await new Promise<Worker | null>((resolve) => {
      const timer = setTimeout(resolve, TAP_START_MS, null);
      worker.onerror = () => resolve(null);
      worker.onmessage = (event: MessageEvent<TapMessage>) => {
        if ("isReady" in event.data) {
          clearTimeout(timer);
          resolve(worker);
        } else {
          this.#clock.noteSent(event.data.rtpTimestamp, performance.now());
        }
      };
    });
  }

  /** Rejects with what ends the session. */
  #watchForEnd(ready: (state: Ready) => void, signal: AbortSignal): Promise<never> {
    return new Promise<never>((_, reject) => {
      const connecting = setTimeout(() => reject(blocked()), CONNECT_MS);
      let lost: ReturnType<typeof setTimeout> | undefined;
      const ended = () => reject(new StreamUnsendable("the stream has ended"));
      this.#track.addEventListener("ended", ended);
      if (this.#track.readyState === "ended") ended();
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      this.#channel.onclose = () => reject(new RemoteUnreachable("the server ended the session"));
      this.#channel.onmessage = (event: MessageEvent<unknown>) => {
        try {
          const message = parseMessage(String(event.data));
          if (message?.kind === "ready") {
            clearTimeout(connecting);
            this.#isReady = true;
            ready(message);
            this.#listener.onOpen(this.#channel);
            this.#expectAnswer(reject);
          } else if (message?.kind === "error" && !message.isOfFrame) {
            reject(message.error);
          } else if (message !== null) {
            this.#take(message);
          }
        } catch (error) {
          reject(error);
        }
      };
      this.#channel.onopen = () => this.#ping();
      this.#peer.onconnectionstatechange = () => {
        clearTimeout(lost);
        const state = this.#peer.connectionState;
        const over = () =>
          reject(this.#isReady ? new RemoteUnreachable("the connection broke") : blocked());
        if (state === "failed") over();
        if (state === "disconnected") lost = setTimeout(over, LOST_MS);
      };
      this.#closers.push(() => {
        clearTimeout(connecting);
        clearTimeout(lost);
        clearInterval(this.#answerTimer);
        this.#track.removeEventListener("ended", ended);
      });
    });
  }

  /** A camera that gives no frames has none to be answered. */
  #expectAnswer(reject: (reason: unknown) => void): void {
    let sentBefore = 0;
    clearInterval(this.#answerTimer);
    this.#answerTimer = setInterval(async () => {
      const sent = await this.#countSent();
      if (sent > sentBefore && sentBefore > 0) reject(unanswered(sent));
      sentBefore = sent;
    }, ANSWER_MS / 2);
  }

  async #countSent(): Promise<number> {
    let sent = 0;
    const report = await this.#peer.getStats();
    report.forEach((entry: { readonly type: string; readonly framesSent?: number }) => {
      if (entry.type === "outbound-rtp") sent += entry.framesSent ?? 0;
    });
    return sent;
  }

  #take(message: RemoteMessage): void {
    const now = performance.now();
    if (message.kind !== "pong") clearInterval(this.#answerTimer);
    if (message.kind === "pong") {
      this.#pathMs = Math.min(this.#pathMs, (now - message.sentAt) / 2);
    } else if (message.kind === "error") {
      this.#listener.onFrameError(message.error);
    } else if (message.kind === "answer") {
      this.#listener.onAnswer(message, this.#capturedAt(message, now));
    }
  }

  #capturedAt({ pts, ageMs }: FrameAnswer, arrivedAt: number): number {
    const pathMs = Number.isFinite(this.#pathMs) ? this.#pathMs : 0;
    if (pts === null) return arrivedAt - ageMs - pathMs;
    return this.#clock.capturedAt({ pts, arrivedAt, ageMs, pathMs });
  }

  /** Round trips, from which half of one is the way: the least of many, as delays only add. */
  #ping(): void {
    const send = () => {
      if (this.#channel.readyState !== "open") return;
      this.#channel.send(JSON.stringify({ type: "ping", t: performance.now() }));
    };
    send();
    const timer = setInterval(send, PING_EVERY_MS);
    this.#closers.push(() => clearInterval(timer));
  }
}

function blocked(): MediaBlocked {
  return new MediaBlocked(
    "no path for the pictures could be found between this browser and the server: a firewall or " +
      "another network lies between; use WebSocket, which goes the way of the page itself",
  );
}

function unanswered(framesSent: number): MediaBlocked {
  return new MediaBlocked(
    `${framesSent} frames were sent by WebRTC and the server has answered none: they do not arrive, ` +
      "or it cannot read them; use WebSocket, which goes the way of the page itself",
  );
}
