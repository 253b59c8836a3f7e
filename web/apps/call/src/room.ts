/** The room on the server in which the pages of a call find each other. Kept up by itself. */

/** Pages tell each other this through the server; it reads none of it. */
export interface Signal {
  /** An offer or an answer, with its candidates. */
  readonly description?: RTCSessionDescriptionInit;
  /** Whether the sender shows anything just now. */
  readonly isShowing: boolean;
}

export interface RoomListener {
  /** In the room, with those who were there; whoever was known before is not there any more. */
  onJoined(members: readonly string[]): void;
  onLeft(member: string): void;
  onSignal(member: string, signal: Signal): void;
  /** Not in the room (any more), with the server's reason where it gave one; it is tried again. */
  onLost(reason: string | null): void;
}

const PING_EVERY_MS = 15_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;

export class Room {
  readonly #url: URL;
  readonly #listener: RoomListener;
  #socket: WebSocket | null = null;
  #failures = 0;

  /** Joins at once. */
  constructor(name: string, listener: RoomListener) {
    this.#url = new URL(`../v1/call/${encodeURIComponent(name)}`, document.baseURI);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    this.#listener = listener;
    this.#join();
    // The others learn at once that this page is gone, also while the browser keeps it for "back".
    window.addEventListener("pagehide", () => this.#socket?.close());
    setInterval(() => this.#send({ type: "ping" }), PING_EVERY_MS);
  }

  send(member: string, signal: Signal): void {
    this.#send({ type: "signal", to: member, data: JSON.stringify(signal) });
  }

  #send(message: object): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #join(): void {
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    let reason: string | null = null;
    socket.onmessage = (event: MessageEvent<unknown>) => {
      const message = read(String(event.data));
      if (message?.type === "error") reason = message.error.detail;
      else if (message !== null) this.#take(message);
    };
    socket.onclose = () => {
      this.#failures++;
      this.#listener.onLost(reason);
      const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.#failures - 1));
      setTimeout(() => this.#join(), pauseMs * (0.5 + Math.random() / 2));
    };
  }

  #take(message: Exclude<RoomMessage, { type: "error" }>): void {
    if (message.type === "joined") {
      this.#failures = 0;
      this.#listener.onJoined(message.peers);
    } else if (message.type === "left") {
      this.#listener.onLeft(message.id);
    } else if (message.type === "signal") {
      const signal = readSignal(message.data);
      if (signal !== null) this.#listener.onSignal(message.from, signal);
    }
  }
}

/** What the server says. Who arrives calls those who were there, who need not be told of it. */
type RoomMessage =
  | { readonly type: "joined"; readonly id: string; readonly peers: readonly string[] }
  | { readonly type: "arrived" | "left"; readonly id: string }
  | { readonly type: "signal"; readonly from: string; readonly data: string }
  | { readonly type: "error"; readonly error: { readonly detail: string } };

function read(text: string): RoomMessage | null {
  try {
    return JSON.parse(text) as RoomMessage;
  } catch {
    return null; // not of this server
  }
}

/** What another page sent; null where it is of no such form, as it may be another program. */
export function readSignal(text: string): Signal | null {
  try {
    const value = JSON.parse(text) as Partial<Signal> | null;
    if (typeof value !== "object" || value === null) return null;
    const { description, isShowing = false } = value;
    if (description === undefined) return { isShowing: isShowing === true };
    const { type, sdp } = description;
    if ((type !== "offer" && type !== "answer") || typeof sdp !== "string") return null;
    return { description: { type, sdp }, isShowing: isShowing === true };
  } catch {
    return null;
  }
}
