/** One WebSocket to the server, from opening to its end. */
import { type RemoteError, RemoteUnreachable } from "../errors";
import type { Connect } from "./reconnect";
import {
  addressOf,
  credentials,
  errorOf,
  parseMessage,
  type Ready,
  type RemoteMessage,
  type RemoteOptions,
  toQuery,
} from "./wire";

const CONNECT_MS = 10_000;

export interface SocketListener {
  /** The socket frames go to, until `onClosed`. */
  onOpen(socket: WebSocket): void;
  /** An answer, or an error of one frame. */
  onMessage(message: RemoteMessage): void;
  onClosed(): void;
}

/** How to connect once with these options. */
export function socketConnection(options: () => RemoteOptions, listener: SocketListener): Connect {
  return async (ready, signal) => {
    const socket = openSocket(options());
    try {
      return await watchSocket(socket, ready, signal, listener);
    } catch (error) {
      throw error === NO_REASON ? await askForReason(options(), signal) : error;
    } finally {
      socket.onclose = null;
      socket.onmessage = null;
      socket.close();
      listener.onClosed();
    }
  };
}

function openSocket(options: RemoteOptions): WebSocket {
  const url = addressOf(options, "v1/stream");
  url.protocol = url.protocol.replace("http", "ws");
  for (const [name, value] of Object.entries(toQuery(options))) url.searchParams.set(name, value);
  const token = options.token === undefined ? [] : [`bearer.${encodeURIComponent(options.token)}`];
  const socket = new WebSocket(url, ["sightline.v1", ...token]);
  socket.binaryType = "arraybuffer";
  return socket;
}

/** Thrown where the browser does not tell why there is no connection. */
const NO_REASON = new RemoteUnreachable("the server cannot be reached");

function watchSocket(
  socket: WebSocket,
  ready: (state: Ready) => void,
  signal: AbortSignal,
  listener: SocketListener,
): Promise<never> {
  let refusal: RemoteError | null = null;
  let isReady = false;
  return new Promise<never>((_, reject) => {
    const timer = setTimeout(() => {
      if (!isReady) reject(new RemoteUnreachable("the server did not answer in 10 seconds"));
    }, CONNECT_MS);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    socket.onmessage = (event: MessageEvent<unknown>) => {
      try {
        const message = parseMessage(String(event.data));
        if (message === null) return;
        if (message.kind === "ready") {
          isReady = true;
          clearTimeout(timer);
          ready(message);
          listener.onOpen(socket);
        } else if (message.kind === "error" && !message.isOfFrame) {
          refusal = message.error; // the server closes next
        } else {
          listener.onMessage(message);
        }
      } catch (error) {
        reject(error);
      }
    };
    socket.onclose = () => {
      clearTimeout(timer);
      if (refusal !== null) reject(refusal);
      else reject(isReady ? new RemoteUnreachable("the server ended the connection") : NO_REASON);
    };
  });
}

/** Why a handshake failed, which a browser does not tell of WebSockets: the same by HTTP. */
async function askForReason(options: RemoteOptions, signal: AbortSignal): Promise<RemoteError> {
  try {
    const url = addressOf(options, "v1/models");
    const response = await fetch(url, { headers: credentials(options), signal });
    if (!response.ok) return errorOf(await response.json());
    return new RemoteUnreachable("the server takes no WebSocket now");
  } catch {
    return NO_REASON;
  }
}
