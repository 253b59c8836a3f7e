/** `watchVideo`: a <video> of any page, with an engine of its own and boxes over it. */
import { createDetector } from "../device/create";
import type { DetectorOptions } from "../device/detector";
import { ConfigInvalid, type SightlineError } from "../errors";
import type { ProgressListener } from "../model/fetch";
import type { RemoteState } from "../remote/reconnect";
import { checkOptions } from "./check";
import {
  DeviceEngine,
  type Engine,
  HttpEngine,
  PeerEngine,
  type ServerListener,
  SocketEngine,
  type Transport,
} from "./engine";
import { Overlay } from "./overlay";
import type { PlainLook } from "./paint";
import { DEFAULT_SETTINGS, VideoWatch, type WatchListener, type WatchSettings } from "./watch";

/** Where the objects are found: on this device, or on a server. */
export interface WatchPlace extends Omit<DetectorOptions, "model" | "onProgress" | "signal"> {
  /** On this device: the bundle's address. With a server: the model's name there. */
  readonly model?: DetectorOptions["model"];
  /** The server's address, for "http" also that of its /image; by default the page's own. */
  readonly server?: string;
  /** How pictures get to the server; by default "websocket". */
  readonly transport?: Transport;
  /** Of that server, or of the one that the model comes from. */
  readonly token?: string;
  /** With a server: wider pictures are made so wide before they are sent; 640 by default. */
  readonly maxWidth?: number;
}

export interface WatchOptions extends Partial<WatchSettings>, WatchPlace, WatchListener {
  /** Whether boxes are drawn over the video; by default they are. */
  readonly overlay?: boolean;
  /** How boxes look; by default they have the colours of their classes. */
  readonly look?: PlainLook;
  /** The model's file is on its way. */
  readonly onProgress?: ProgressListener;
  /** The engine is there, with the model's labels if it is on this device. */
  readonly onReady?: (engine: Engine) => void;
  /** What the connection to the server does. */
  readonly onState?: (state: RemoteState) => void;
}

/** An engine for a place. Rejects with ConfigInvalid, a ModelError ... or the signal's reason. */
export async function openEngine(
  options: WatchPlace & { readonly onProgress?: ProgressListener },
  settings: WatchSettings,
  listener: ServerListener,
  signal: AbortSignal,
): Promise<Engine> {
  const { model, server, transport = "websocket", token, maxWidth } = options;
  if (server === undefined && options.transport === undefined) {
    if (model === undefined) {
      throw new ConfigInvalid("neither a model nor a server is named to find the objects");
    }
    return new DeviceEngine(await createDetector({ ...options, model, signal }));
  }
  const name = typeof model === "string" ? { model } : {};
  const asked = {
    ...name,
    ...(server === undefined ? {} : { url: server }),
    ...(token === undefined ? {} : { token }),
    ...(settings.threshold === null ? {} : { threshold: settings.threshold }),
    ...(maxWidth === undefined ? {} : { maxWidth }),
    // Of streams sent as such, only the server can tell; frames are not even sent.
    motion: settings.motion && transport === "webrtc",
  };
  const Remote = ENGINES[transport];
  return new Remote(asked, listener);
}

const ENGINES = { http: HttpEngine, websocket: SocketEngine, webrtc: PeerEngine } as const;

/**
 * Find the objects of a <video> while it plays, and draw them over it. Errors come by `onError`;
 * `close()` ends it and removes what was drawn. Throws ConfigInvalid for options that mean nothing.
 */
export function watchVideo(video: HTMLVideoElement, options: WatchOptions): VideoWatch {
  checkOptions(video, options);
  const { overlay = true, mirror = DEFAULT_SETTINGS.mirror, look } = options;
  return new OwnedWatch(video, overlay ? new Overlay(video, { mirror }, look) : null, options);
}

/** A watch that opens and closes its engine itself. */
class OwnedWatch extends VideoWatch {
  readonly #closing = new AbortController();

  constructor(video: HTMLVideoElement, overlay: Overlay | null, options: WatchOptions) {
    super(video, overlay, options, pickSettings(options));
    const tell = (error: SightlineError) => options.onError?.(error);
    const listener: ServerListener = {
      onState: (state) => {
        options.onState?.(state);
        if (state.kind === "failed") tell(state.error);
      },
      onFrameError: tell,
    };
    const { signal } = this.#closing;
    this.setSource({ takePhoto: null });
    openEngine(options, this.settings, listener, signal).then(
      (engine) => {
        if (signal.aborted) {
          engine.close();
          return;
        }
        this.setEngine(engine);
        options.onReady?.(engine);
      },
      (error: unknown) => {
        if (!signal.aborted) options.onError?.(error);
      },
    );
  }

  override close(): void {
    this.#closing.abort();
    const { engine } = this;
    super.close();
    engine?.close();
  }
}

/** Of the options those that are settings, without the undefined ones. */
function pickSettings(options: WatchOptions): Partial<WatchSettings> {
  const names = Object.keys(DEFAULT_SETTINGS) as (keyof WatchSettings)[];
  const given = names.filter((name) => options[name] !== undefined);
  return Object.fromEntries(given.map((name) => [name, options[name]]));
}
