/** What the user has chosen, as this browser remembers it; for this visit where it may not. */

export interface Settings {
  /** The model looked for things with last. */
  readonly model: string | null;
  /** The deviceId of the camera that was chosen, which is the browser's for this address. */
  readonly camera: string | null;
  readonly track: boolean;
  readonly motion: boolean;
  readonly sync: "frame" | "live";
  /** Whether a camera is shown mirrored: one that looks at the user, and any other. */
  readonly mirrorFront: boolean;
  readonly mirrorOther: boolean;
  readonly shortcuts: boolean;
  /** By model: the classes that are shown, where not all are. */
  readonly classes: Readonly<Record<string, readonly string[]>>;
  /** By model: the least score that is shown, where it is not the model's own. */
  readonly thresholds: Readonly<Record<string, number>>;
}

const DEFAULTS: Settings = {
  model: null,
  camera: null,
  track: false,
  motion: false,
  sync: "frame",
  mirrorFront: true,
  mirrorOther: false,
  shortcuts: true,
  classes: {},
  thresholds: {},
};

/** What was stored, as far as it can be used: the storage is anybody's on this address. */
export function parseSettings(text: string | null): Settings {
  let stored: unknown;
  try {
    stored = JSON.parse(text ?? "{}");
  } catch {
    return DEFAULTS;
  }
  if (!isRecord(stored)) return DEFAULTS;
  const isOn = (name: "track" | "motion" | "mirrorFront" | "mirrorOther" | "shortcuts") =>
    typeof stored[name] === "boolean" ? stored[name] : DEFAULTS[name];
  return {
    model: typeof stored.model === "string" ? stored.model : null,
    camera: typeof stored.camera === "string" ? stored.camera : null,
    track: isOn("track"),
    motion: isOn("motion"),
    sync: stored.sync === "live" ? "live" : "frame",
    mirrorFront: isOn("mirrorFront"),
    mirrorOther: isOn("mirrorOther"),
    shortcuts: isOn("shortcuts"),
    classes: entriesOf(stored.classes, isTexts),
    thresholds: entriesOf(stored.thresholds, isFraction),
  };
}

/** The entries of `value` that are what they should be. */
function entriesOf<T>(value: unknown, isGood: (item: unknown) => item is T): Record<string, T> {
  const entries = isRecord(value) ? Object.entries(value) : [];
  return Object.fromEntries(entries.filter((entry): entry is [string, T] => isGood(entry[1])));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function isFraction(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value <= 1;
}

export class SettingsStore {
  // Pages published under several paths of one host share its storage.
  readonly #key = `sightline-live ${new URL(".", document.baseURI).pathname}`;
  #current: Settings = parseSettings(this.#read());

  get current(): Settings {
    return this.#current;
  }

  change(changes: Partial<Settings>): void {
    this.#current = { ...this.#current, ...changes };
    try {
      localStorage.setItem(this.#key, JSON.stringify(this.#current));
    } catch {
      // storage may be forbidden or full: the choice then holds for this visit
    }
  }

  #read(): string | null {
    try {
      return localStorage.getItem(this.#key);
    } catch {
      return null;
    }
  }
}

/** The record with this entry; null: without it. */
export function withEntry<T>(
  record: Readonly<Record<string, T>>,
  name: string,
  value: T | null,
): Record<string, T> {
  const { [name]: _former, ...rest } = record;
  return value === null ? rest : { ...rest, [name]: value };
}
