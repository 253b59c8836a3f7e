/** What the attributes of a script tag of 2017 ask for, and of the few that are new. Pure. */
import { ConfigInvalid } from "../errors";
import type { WatchPlace } from "../video/attach";
import type { Transport } from "../video/engine";
import type { WatchSettings } from "../video/watch";

export interface TagKind {
  /** Whether it looks only where something has moved: objDetectOnMotion.js. */
  readonly onMotion: boolean;
}

export interface TagOptions {
  /** The id of the <video>. */
  readonly source: string;
  readonly place: WatchPlace;
  readonly settings: Partial<WatchSettings> & { readonly threshold: number };
}

const UPLOAD_WIDTH = 640;
const SCORE_THRESHOLD = 0.5;
const UPDATE_INTERVAL_MS = 200;
/** In 2017 the share of pixels that must change; here the motion gate's own measure stands for it. */
const MOTION_THRESHOLD = 0.05;
const TRANSPORTS: readonly Transport[] = ["http", "websocket", "webrtc"];
const NO = ["false", "0", "no", "off"];

/** `read`: an attribute's text, null where it is not there. Throws ConfigInvalid. */
export function readAttributes(
  read: (name: string) => string | null,
  { onMotion }: TagKind,
  pageUrl: string,
): TagOptions {
  const source = read("data-source") ?? "";
  if (source === "") {
    throw new ConfigInvalid('data-source is missing: it takes the id of a <video>, as "myVideo"');
  }
  const number = (name: string, otherwise: number, most: number): number =>
    readNumber(name, read(name), otherwise, most);
  const settings: TagOptions["settings"] = {
    threshold: number("data-scoreThreshold", SCORE_THRESHOLD, 1),
    mirror: !NO.includes((read("data-mirror") ?? "false").trim().toLowerCase()),
    // The video plays on beneath its boxes.
    sync: "live",
  };
  const place = readPlace(read, pageUrl);
  if (!onMotion) return { source, place, settings };
  return {
    source,
    place,
    settings: {
      ...settings,
      motion: true,
      motionFactor: number("data-motionThreshold", MOTION_THRESHOLD, 1) / MOTION_THRESHOLD,
      minIntervalMs: number("data-updateInterval", UPDATE_INTERVAL_MS, Number.MAX_SAFE_INTEGER),
    },
  };
}

/** On this device where a model is named, else on a server. */
function readPlace(read: (name: string) => string | null, pageUrl: string): WatchPlace {
  const model = read("data-model");
  if (model !== null) return { model };
  const asked = read("data-transport") ?? "http";
  const transport = TRANSPORTS.find((each) => each === asked);
  if (transport === undefined) {
    throw new ConfigInvalid(`data-transport takes ${TRANSPORTS.join(", ")}, not "${asked}"`);
  }
  const token = read("data-token");
  const width = read("data-uploadWidth");
  return {
    server: new URL(read("data-apiServer") ?? "/image", pageUrl).href,
    transport,
    maxWidth: Math.max(1, readNumber("data-uploadWidth", width, UPLOAD_WIDTH, 100_000)),
    ...(token === null ? {} : { token }),
  };
}

function readNumber(name: string, text: string | null, otherwise: number, most: number): number {
  if (text === null || text.trim() === "") return otherwise;
  const value = Number(text);
  if (!(value >= 0 && value <= most)) {
    throw new ConfigInvalid(`${name} takes a number from 0 to ${most}, not "${text}"`);
  }
  return value;
}
