/**
 * How many objects cross lines and are in zones, each object once.
 *
 * An object is where it stands: at the middle of its box's lower edge, drawn into the picture where
 * the box reaches beyond. Only objects with an id count: see `Tracker`.
 */
import type { Detection } from "../device/detector";
import {
  type CountingLine,
  type CountingZone,
  checkRegions,
  crossing,
  distanceOutside,
  distanceRight,
  type Point,
  type Size,
} from "./regions";

// Boxes tremble: of the picture's diagonal, how far an object must be from a line to be on a side
// of it, and outside a zone to have left it.
const MARGIN = 0.01;
// Of the margin: so near a zone is on its edge, which is in it. Objects cut off by the picture stand
// on its edge, and so on that of a zone that reaches there.
const ON_EDGE = 1e-6;
// How long an object that is not seen is where it was; the tracker then gives it up too.
const LIFE_MS = 2000;

export interface CounterOptions {
  readonly lines?: readonly CountingLine[];
  readonly zones?: readonly CountingZone[];
}

/** "forwards": from the line's left to its right, for one who goes from `from` to `to`. */
export type Direction = "forwards" | "backwards";

export type CountingEvent =
  | {
      readonly kind: "crossing";
      readonly line: string;
      readonly direction: Direction;
      readonly detection: Detection;
    }
  | {
      readonly kind: "enter" | "leave";
      readonly zone: string;
      /** As it was last seen. */
      readonly detection: Detection;
    };

export interface LineCount {
  readonly forwards: number;
  readonly backwards: number;
}

export interface ZoneCount {
  /** How many are in it now. */
  readonly inside: number;
  /** How often one came in, or appeared in it. */
  readonly entered: number;
}

/** By the names of lines and zones. */
export interface Counts {
  readonly lines: Readonly<Record<string, Counted<LineCount>>>;
  readonly zones: Readonly<Record<string, Counted<ZoneCount>>>;
}

export type Counted<Count> = Count & { readonly byLabel: Readonly<Record<string, Count>> };

/** One stream's counts. */
export class Counter {
  readonly #lines: readonly { readonly line: CountingLine; readonly tally: Tally<Direction> }[];
  readonly #zones: readonly {
    readonly zone: CountingZone;
    readonly tally: Tally<keyof ZoneCount>;
  }[];
  readonly #objects = new Map<number, Followed>();
  #timeMs: number | null = null;
  #clockMs = 0; // as the frames' times, but never back

  /** Raises ConfigInvalid. */
  constructor({ lines = [], zones = [] }: CounterOptions) {
    checkRegions(lines, zones);
    this.#lines = lines.map((line) => ({ line, tally: new Tally({ forwards: 0, backwards: 0 }) }));
    this.#zones = zones.map((zone) => ({ zone, tally: new Tally({ inside: 0, entered: 0 }) }));
  }

  /**
   * What has happened since the last frame.
   *
   * A crossing counts once the object is clearly on the other side. One that appears in a zone
   * enters it; one that is not seen for 2 s leaves. timeMs: of the frame, by any clock; one that
   * goes back stands still for a frame.
   */
  update(
    detections: readonly Detection[],
    width: number,
    height: number,
    timeMs: number,
  ): CountingEvent[] {
    this.#clockMs += this.#timeMs === null ? 0 : Math.max(0, timeMs - this.#timeMs);
    this.#timeMs = timeMs;
    const size = { width, height };
    const events: CountingEvent[] = [];
    for (const detection of detections) {
      if (detection.id === undefined) continue;
      const place = standsAt(detection, size);
      let object = this.#objects.get(detection.id);
      if (object === undefined) {
        object = new Followed(place, detection, this.#lines.length, this.#zones.length);
        this.#objects.set(detection.id, object);
      }
      const before = object.place;
      object.place = place;
      object.detection = detection;
      object.seenMs = this.#clockMs;
      this.#crossLines(object, before, size, events);
      this.#changeZones(object, size, events);
    }
    for (const [id, object] of this.#objects) {
      if (this.#clockMs - object.seenMs <= LIFE_MS) continue;
      this.#objects.delete(id);
      this.#leaveZones(object, events);
    }
    return events;
  }

  /**
   * Follow the present objects no further, as after a jump in the video: they leave their zones,
   * and ids may begin anew. Counts stay.
   */
  forget(): CountingEvent[] {
    const events: CountingEvent[] = [];
    for (const object of this.#objects.values()) this.#leaveZones(object, events);
    this.#objects.clear();
    return events;
  }

  get counts(): Counts {
    return {
      lines: Object.fromEntries(this.#lines.map(({ line, tally }) => [line.name, tally.sum()])),
      zones: Object.fromEntries(this.#zones.map(({ zone, tally }) => [zone.name, tally.sum()])),
    };
  }

  #crossLines(object: Followed, before: Point, size: Size, events: CountingEvent[]): void {
    const { place, detection, sides, crossings } = object;
    this.#lines.forEach(({ line, tally }, index) => {
      const net = (crossings[index] as number) + crossing(line, before, place, size);
      crossings[index] = net;
      const distance = distanceRight(line, place, size);
      if (Math.abs(distance) <= marginOf(size)) return;
      const side = distance > 0 ? 1 : -1;
      if (sides[index] === -side && net * side > 0) {
        const direction = side > 0 ? "forwards" : "backwards";
        tally.add(detection.label, direction, 1);
        events.push({ kind: "crossing", line: line.name, direction, detection });
      }
      sides[index] = side;
      crossings[index] = 0;
    });
  }

  #changeZones(object: Followed, size: Size, events: CountingEvent[]): void {
    const { place, detection, zoneLabels } = object;
    this.#zones.forEach(({ zone, tally }, index) => {
      const distance = distanceOutside(zone, place, size);
      const wasInside = zoneLabels[index] !== null;
      if (!wasInside && distance <= ON_EDGE * marginOf(size)) {
        zoneLabels[index] = detection.label;
        tally.add(detection.label, "inside", 1);
        tally.add(detection.label, "entered", 1);
        events.push({ kind: "enter", zone: zone.name, detection });
      } else if (wasInside && distance > marginOf(size)) {
        this.#leaveZone(object, index, events);
      }
    });
  }

  #leaveZones(object: Followed, events: CountingEvent[]): void {
    for (const index of this.#zones.keys()) this.#leaveZone(object, index, events);
  }

  #leaveZone({ zoneLabels, detection }: Followed, index: number, events: CountingEvent[]): void {
    const found = this.#zones[index];
    const label = zoneLabels[index] ?? null;
    if (found === undefined || label === null) return;
    zoneLabels[index] = null;
    found.tally.add(label, "inside", -1);
    events.push({ kind: "leave", zone: found.zone.name, detection });
  }
}

/** One object, line by line and zone by zone. */
class Followed {
  place: Point;
  /** As it was last seen. */
  detection: Detection;
  seenMs = 0;
  /** Where it was clearly last: 1 right of a line, -1 left, 0 unknown. */
  readonly sides: Int8Array;
  /** Since then, how often it has crossed the line forwards, less how often backwards. */
  readonly crossings: Int32Array;
  /** The class it was in a zone as; null outside. */
  readonly zoneLabels: (string | null)[];

  constructor(place: Point, detection: Detection, lines: number, zones: number) {
    this.place = place;
    this.detection = detection;
    this.sides = new Int8Array(lines);
    this.crossings = new Int32Array(lines);
    this.zoneLabels = new Array<string | null>(zones).fill(null);
  }
}

/** Numbers of some kinds, by label and in sum. */
class Tally<Kind extends string> {
  readonly #none: Readonly<Record<Kind, number>>;
  readonly #byLabel = new Map<string, Record<Kind, number>>();

  constructor(none: Readonly<Record<Kind, number>>) {
    this.#none = none;
  }

  add(label: string, kind: Kind, amount: number): void {
    const counts: Record<Kind, number> = this.#byLabel.get(label) ?? { ...this.#none };
    counts[kind] += amount;
    this.#byLabel.set(label, counts);
  }

  sum(): Counted<Record<Kind, number>> {
    const total: Record<Kind, number> = { ...this.#none };
    for (const counts of this.#byLabel.values()) {
      for (const kind of Object.keys(total) as Kind[]) total[kind] += counts[kind];
    }
    const byLabel = [...this.#byLabel].map(([label, counts]) => [label, { ...counts }] as const);
    return { ...total, byLabel: Object.fromEntries(byLabel) };
  }
}

function standsAt({ boxXyxy: [x1, , x2, y2] }: Detection, { width, height }: Size): Point {
  const inPicture = (share: number) => Math.min(1, Math.max(0, share));
  return [inPicture((x1 + x2) / 2 / width), inPicture(y2 / height)];
}

/** Pixels. */
function marginOf({ width, height }: Size): number {
  return MARGIN * Math.hypot(width, height);
}
