/** The WebRTC connection with one other page of the call: a video each way, no sound. */
import type { Signal } from "./room";

/** What the connection does. `broken`: it came to nothing or is over; the caller tries again. */
export type PeerState = "connecting" | "connected" | "lost" | "broken";

export interface PeerListener {
  send(signal: Pick<Signal, "description">): void;
  onState(state: PeerState): void;
}

/** All candidates go with the offer: those of one network come at once. */
const GATHERING_MS = 2000;
const CONNECT_MS = 15_000;

export class Peer {
  /** What the other page sends. */
  readonly stream = new MediaStream();
  readonly #connection = new RTCPeerConnection({ iceServers: [] });
  readonly #listener: PeerListener;
  readonly #timer: ReturnType<typeof setTimeout>;
  #own: MediaStreamTrack | null;

  constructor(own: MediaStreamTrack | null, listener: PeerListener) {
    this.#own = own;
    this.#listener = listener;
    this.#timer = setTimeout(() => this.#tell("broken"), CONNECT_MS);
    this.#connection.onconnectionstatechange = () => {
      const state = this.#connection.connectionState;
      if (state === "connected") {
        clearTimeout(this.#timer);
        this.#tell("connected");
      } else if (state === "disconnected") this.#tell("lost");
      else if (state === "failed") this.#tell("broken");
    };
    this.#connection.ontrack = ({ track }) => this.stream.addTrack(track);
  }

  /** Offer the other page a connection. */
  async call(): Promise<void> {
    // In both directions from the start: what is shown later is exchanged without a new offer.
    this.#connection.addTransceiver(this.#own ?? "video", { direction: "sendrecv" });
    await this.#describe();
  }

  /** Go on with what the other page answered or offered. */
  async take(description: RTCSessionDescriptionInit): Promise<void> {
    await this.#connection.setRemoteDescription(description);
    if (description.type !== "offer") return;
    for (const transceiver of this.#connection.getTransceivers()) {
      transceiver.direction = "sendrecv";
    }
    await this.show(this.#own);
    await this.#describe();
  }

  /** Send this from now on; null: nothing. */
  async show(own: MediaStreamTrack | null): Promise<void> {
    this.#own = own;
    const [transceiver] = this.#connection.getTransceivers();
    await transceiver?.sender.replaceTrack(own);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#connection.onconnectionstatechange = null;
    this.#connection.close();
  }

  #tell(state: PeerState): void {
    if (this.#connection.signalingState !== "closed") this.#listener.onState(state);
  }

  async #describe(): Promise<void> {
    await this.#connection.setLocalDescription();
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, GATHERING_MS);
      const look = () => {
        if (this.#connection.iceGatheringState !== "complete") return;
        clearTimeout(timer);
        resolve();
      };
      this.#connection.addEventListener("icegatheringstatechange", look);
      look();
    });
    const description = this.#connection.localDescription;
    if (description !== null) this.#listener.send({ description: description.toJSON() });
  }
}
