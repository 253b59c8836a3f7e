/** The attributes of <sightline-video> as settings. Knows no page: what is read is text. */
import { ConfigInvalid } from "../errors";
import { type CountingLine, type CountingZone, checkRegions } from "../tracking/regions";
import type { Transport } from "../video/engine";
import { DEFAULT_SETTINGS, type WatchSettings } from "../video/watch";

/** An attribute's text; null where the element does not have it. */
export type Read = (name: string) => string | null;

/** Applied as it runs. */
export const SETTINGS = [
  "threshold",
  "classes",
  "max",
  "track",
  "motion",
  "mirror",
  "sync",
  "lines",
  "zones",
] as const;

/** What finds the objects: another engine. */
export const PLACE = ["model", "server", "transport", "token"] as const;

/** What is shown. */
export const SOURCE = ["src", "camera"] as const;

/** Given to the <video> as they are. */
export const PASSED = ["poster", "muted", "loop", "autoplay"] as const;

const TRANSPORTS: readonly Transport[] = ["http", "websocket", "webrtc"];

/** Settings, and what is wrong with those that are left out. */
export interface ReadSettings {
  readonly settings: Partial<WatchSettings>;
  readonly problems: readonly ConfigInvalid[];
}

/** `given`: lines and zones in place of the attributes. */
export function readSettings(
  read: Read,
  given: Partial<Pick<WatchSettings, "lines" | "zones">> = {},
): ReadSettings {
  const problems: ConfigInvalid[] = [];
  const readers: { readonly [K in keyof WatchSettings]?: () => WatchSettings[K] } = {
    threshold: () => readNumber(read, "threshold", 0, 1) ?? DEFAULT_SETTINGS.threshold,
    labels: () => readClasses(read("classes")),
    max: () => readNumber(read, "max", 0, Number.MAX_SAFE_INTEGER) ?? DEFAULT_SETTINGS.max,
    track: () => isOn(read("track")),
    motion: () => isOn(read("motion")),
    mirror: () => isOn(read("mirror")),
    sync: () => readChoice(read, "sync", ["frame", "live"] as const) ?? DEFAULT_SETTINGS.sync,
    lines: () => {
      const lines = given.lines ?? readList<CountingLine>(read, "lines") ?? [];
      checkRegions(lines, []);
      return lines;
    },
    zones: () => {
      const zones = given.zones ?? readList<CountingZone>(read, "zones") ?? [];
      checkRegions([], zones);
      return zones;
    },
  };
  const settings = Object.entries(readers).flatMap(([name, readOne]) => {
    try {
      return [[name, readOne()]];
    } catch (error) {
      if (!(error instanceof ConfigInvalid)) throw error;
      problems.push(error);
      return [];
    }
  });
  return { settings: Object.fromEntries(settings), problems };
}

/** Raises ConfigInvalid. */
export function readTransport(read: Read): Transport | null {
  return readChoice(read, "transport", TRANSPORTS);
}

/** As of HTML's own: there or not; "false" is what frameworks write for the latter. */
export function isOn(text: string | null): boolean {
  return text !== null && text !== "false";
}

function readClasses(text: string | null): readonly string[] | null {
  const names = (text ?? "").split(",").map((name) => name.trim());
  const given = names.filter((name) => name !== "");
  return given.length === 0 ? null : given;
}

function readNumber(read: Read, name: string, least: number, most: number): number | null {
  const text = read(name);
  if (text === null || text.trim() === "") return null;
  const value = Number(text);
  if (value >= least && value <= most) return value;
  const range = most === 1 ? `between ${least} and ${most}` : `of at least ${least}`;
  throw new ConfigInvalid(`${name}="${text}" is no number ${range}`);
}

function readChoice<T extends string>(read: Read, name: string, choices: readonly T[]): T | null {
  const text = read(name);
  if (text === null || text === "") return null;
  const choice = choices.find((known) => known === text);
  if (choice !== undefined) return choice;
  throw new ConfigInvalid(`${name}="${text}" is none of ${choices.join(", ")}`);
}

function readList<T>(read: Read, name: string): readonly T[] | null {
  const text = read(name);
  if (text === null || text.trim() === "") return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ConfigInvalid(`the attribute ${name} is not JSON: ${String(error)}`);
  }
  if (!Array.isArray(value)) throw new ConfigInvalid(`the attribute ${name} is not a list`);
  return value;
}
