import { describe, expect, it } from "vitest";
import type { Detection } from "../device/detector";
import { ConfigInvalid } from "../errors";
import { Counter, type CounterOptions, type CountingEvent } from "./counting";
import { drawFrom } from "./drawn";
import type { CountingLine, CountingZone, Point } from "./regions";

const [WIDTH, HEIGHT] = [640, 360];

/** A box of 40 x 80 pixels that stands at a point in shares of the picture. */
function standing([x, y]: Point, id?: number, label = "person"): Detection {
  const [centre, bottom] = [x * WIDTH, y * HEIGHT];
  return {
    label,
    labelId: 0,
    score: 0.9,
    boxXyxy: [centre - 20, bottom - 80, centre + 20, bottom],
    ...(id === undefined ? {} : { id }),
  };
}

/** "crossing door forwards 1" and the like, in the order of the events. */
function told(events: readonly CountingEvent[]): string[] {
  return events.map((event) =>
    event.kind === "crossing"
      ? `${event.line} ${event.direction} ${event.detection.id}`
      : `${event.kind} ${event.zone} ${event.detection.id}`,
  );
}

/** What one object's way brings about, at ten frames a second. */
function walk(options: CounterOptions, way: readonly Point[]): string[] {
  const counter = new Counter(options);
  return way.flatMap((point, frame) =>
    told(counter.update([standing(point, 1)], WIDTH, HEIGHT, frame * 100)),
  );
}

const ACROSS: CountingLine = { name: "street", from: [0, 0.5], to: [1, 0.5] };
const GATE: CountingLine = { name: "gate", from: [0.3, 0.5], to: [0.7, 0.5] };
const YARD: CountingZone = {
  name: "yard",
  points: [
    [0.25, 0.25],
    [0.75, 0.25],
    [0.75, 0.75],
    [0.25, 0.75],
  ],
};

describe("lines", () => {
  it("count forwards from the left of the way from one end to the other", () => {
    const down: Point[] = [
      [0.5, 0.4],
      [0.5, 0.6],
    ];
    expect(walk({ lines: [GATE] }, down)).toEqual(["gate forwards 1"]);
    expect(walk({ lines: [GATE] }, [...down].reverse())).toEqual(["gate backwards 1"]);
    const turned = { name: "gate", from: GATE.to, to: GATE.from };
    expect(walk({ lines: [turned] }, down)).toEqual(["gate backwards 1"]);
    const upright: CountingLine = { name: "door", from: [0.5, 1], to: [0.5, 0] };
    const right: Point[] = [
      [0.4, 0.5],
      [0.6, 0.5],
    ];
    expect(walk({ lines: [upright] }, right)).toEqual(["door forwards 1"]);
  });

  it("end where they end", () => {
    const beside: Point[] = [
      [0.2, 0.4],
      [0.2, 0.6],
    ];
    expect(walk({ lines: [GATE] }, beside)).toEqual([]);
    // Round the end and back through the gate, as often as it goes round.
    const round: Point[] = [...beside, [0.5, 0.6], [0.5, 0.4], [0.2, 0.4], [0.2, 0.6], [0.5, 0.6]];
    expect(walk({ lines: [GATE] }, [...round, [0.5, 0.4]])).toEqual([
      "gate backwards 1",
      "gate backwards 1",
    ]);
    // On the line, past its end and back again on the side it came from.
    const along: Point[] = [
      [0.6, 0.45],
      [0.6, 0.505],
      [0.8, 0.505],
      [0.8, 0.45],
    ];
    expect(walk({ lines: [GATE] }, along)).toEqual([]);
  });

  it("wait until an object is clearly over", () => {
    // 1 % of the diagonal is 7.3 pixels, .0204 of the height.
    const slowly = [0.45, 0.49, 0.5, 0.51, 0.515, 0.49, 0.51, 0.519].map((y): Point => [0.5, y]);
    expect(walk({ lines: [GATE] }, slowly)).toEqual([]);
    expect(walk({ lines: [GATE] }, [...slowly, [0.5, 0.522]])).toEqual(["gate forwards 1"]);
    expect(walk({ lines: [GATE] }, [...slowly, [0.5, 0.47]])).toEqual([]);
    // First seen on the line: nobody knows where it came from.
    expect(walk({ lines: [GATE] }, slowly.slice(1).concat([[0.5, 0.6]]))).toEqual([]);
  });

  it.each([1, 2, 3, 4, 5])("count a trembling crossing once (%i)", (seed) => {
    const next = drawFrom(seed);
    // At 7 pixels a second, trembling by 3.
    const way = Array.from({ length: 60 }, (_, frame): Point => {
      return [0.5 + 0.005 * next(), 0.44 + 0.002 * frame + 0.009 * next()];
    });
    expect(walk({ lines: [GATE] }, way)).toEqual(["gate forwards 1"]);
  });

  it.each([1, 2, 3, 4, 5, 6])(
    "count as often as sides change, however one wanders (%i)",
    (seed) => {
      const next = drawFrom(seed);
      const counter = new Counter({ lines: [ACROSS] });
      let y = 0.2;
      for (let frame = 0; frame < 400; frame++) {
        y += 0.1 * next() + 0.05 * (0.5 - y);
        counter.update([standing([0.5 + 0.4 * next(), y], 1)], WIDTH, HEIGHT, frame * 50);
        const { forwards, backwards } = counter.counts.lines.street ?? {
          forwards: 0,
          backwards: 9,
        };
        // Within the margin it may be on either side.
        if (y < 0.47) expect(forwards).toBe(backwards);
        if (y > 0.53) expect(forwards).toBe(backwards + 1);
      }
      expect(counter.counts.lines.street?.forwards).toBeGreaterThan(2);
    },
  );

  it("count what is seen on both sides though not on the line", () => {
    const counter = new Counter({ lines: [GATE] });
    counter.update([standing([0.5, 0.3], 1)], WIDTH, HEIGHT, 0);
    counter.update([], WIDTH, HEIGHT, 1900);
    expect(told(counter.update([standing([0.5, 0.7], 1)], WIDTH, HEIGHT, 2000))).toEqual([
      "gate forwards 1",
    ]);
    counter.update([], WIDTH, HEIGHT, 4001);
    expect(told(counter.update([standing([0.5, 0.3], 1)], WIDTH, HEIGHT, 4100))).toEqual([]);
  });
});

describe("zones", () => {
  it("tell of who enters, appears, leaves and is gone", () => {
    const counter = new Counter({ zones: [YARD] });
    const at = (seconds: number, ...seen: Detection[]) =>
      told(counter.update(seen, WIDTH, HEIGHT, seconds * 1000));
    const inside = () => counter.counts.zones.yard?.inside;
    expect(at(0, standing([0.1, 0.5], 1), standing([0.5, 0.5], 2))).toEqual(["enter yard 2"]);
    expect(at(1, standing([0.3, 0.5], 1), standing([0.5, 0.6], 2))).toEqual(["enter yard 1"]);
    expect(inside()).toBe(2);
    expect(at(2, standing([0.3, 0.9], 1))).toEqual(["leave yard 1"]);
    expect(at(3)).toEqual([]);
    expect(inside()).toBe(1);
    expect(at(3.1)).toEqual(["leave yard 2"]);
    expect(at(60)).toEqual([]);
    expect(counter.counts.zones.yard).toMatchObject({ inside: 0, entered: 2 });
  });

  it("are left only clearly", () => {
    const edge = [0.3, 0.25, 0.24, 0.26, 0.241, 0.251].map((x): Point => [x, 0.5]);
    expect(walk({ zones: [YARD] }, edge)).toEqual(["enter yard 1"]);
    expect(walk({ zones: [YARD] }, [...edge, [0.23, 0.5]])).toEqual([
      "enter yard 1",
      "leave yard 1",
    ]);
  });

  it("reach to the picture's edge, where boxes are cut off or reach beyond", () => {
    const whole: CountingZone = {
      name: "all",
      points: [
        [0, 0],
        [1, 0],
        [1, 1],
        [0, 1],
      ],
    };
    for (const point of [
      [0.5, 1],
      [0.5, 1.2],
      [1.01, 1.01],
      [-0.01, 0.4],
      [0, 0],
    ] as const) {
      expect(walk({ zones: [whole] }, [point])).toEqual(["enter all 1"]);
    }
  });

  it("may be of any shape", () => {
    const horseshoe: CountingZone = {
      name: "u",
      points: [
        [0.2, 0.2],
        [0.4, 0.2],
        [0.4, 0.7],
        [0.6, 0.7],
        [0.6, 0.2],
        [0.8, 0.2],
        [0.8, 0.9],
        [0.2, 0.9],
      ],
    };
    const isIn = (x: number, y: number) => walk({ zones: [horseshoe] }, [[x, y]]).length === 1;
    expect([isIn(0.3, 0.3), isIn(0.7, 0.3), isIn(0.5, 0.8), isIn(0.2, 0.5)]).not.toContain(false);
    expect([isIn(0.5, 0.3), isIn(0.1, 0.5), isIn(0.5, 0.95), isIn(0.9, 0.2)]).not.toContain(true);
    const turned = { name: "u", points: [...horseshoe.points].reverse() };
    expect(walk({ zones: [turned] }, [[0.3, 0.3]])).toEqual(["enter u 1"]);
  });
});

describe("Counter", () => {
  const both = { lines: [GATE, ACROSS], zones: [YARD] };

  it("counts by label, and only what has an id", () => {
    const counter = new Counter(both);
    counter.update([standing([0.5, 0.4], 1), standing([0.3, 0.4], 2, "dog")], WIDTH, HEIGHT, 0);
    const later = [standing([0.5, 0.6], 1), standing([0.1, 0.6], 2, "dog"), standing([0.5, 0.5])];
    counter.update(later, WIDTH, HEIGHT, 100);
    const [one, none] = [
      { forwards: 1, backwards: 0 },
      { inside: 0, entered: 0 },
    ];
    expect(counter.counts).toEqual({
      lines: {
        gate: { ...one, byLabel: { person: one } },
        street: { forwards: 2, backwards: 0, byLabel: { person: one, dog: one } },
      },
      zones: {
        yard: {
          inside: 1,
          entered: 2,
          byLabel: { person: { inside: 1, entered: 1 }, dog: { ...none, entered: 1 } },
        },
      },
    });
  });

  it.each([1, 2, 3])("does not depend on the order of detections (%i)", (seed) => {
    const next = drawFrom(seed);
    const [ordered, shuffled] = [new Counter(both), new Counter(both)];
    const places = Array.from(
      { length: 12 },
      (): Point => [0.5 + 0.5 * next(), 0.5 + 0.5 * next()],
    );
    for (let frame = 0; frame < 120; frame++) {
      const seen: Detection[] = [];
      places.forEach(([x, y], id) => {
        places[id] = [x + 0.06 * next(), y + 0.06 * next()];
        if (next() > -0.8) seen.push(standing([x, y], id));
      });
      const events = told(ordered.update(seen, WIDTH, HEIGHT, frame * 100));
      const mixed = [...seen].sort(() => next());
      const others = told(shuffled.update(mixed, WIDTH, HEIGHT, frame * 100));
      expect(others.sort()).toEqual(events.sort());
    }
    expect(shuffled.counts).toEqual(ordered.counts);
    expect(ordered.counts.lines.street?.forwards).toBeGreaterThan(0);
    expect(ordered.counts.zones.yard?.entered).toBeGreaterThan(12);
  });

  it("has as many inside as have entered and not left", () => {
    const next = drawFrom(8);
    const counter = new Counter(both);
    const inside = new Set<number | undefined>();
    for (let frame = 0; frame < 300; frame++) {
      const seen = [1, 2, 3, 4, 5].filter(() => next() > 0.7);
      const detections = seen.map((id) => standing([0.5 + 0.5 * next(), 0.5 + 0.5 * next()], id));
      for (const event of counter.update(detections, WIDTH, HEIGHT, frame * 300)) {
        if (event.kind === "enter") expect(inside.has(event.detection.id)).toBe(false);
        if (event.kind === "leave") expect(inside.has(event.detection.id)).toBe(true);
        if (event.kind === "enter") inside.add(event.detection.id);
        if (event.kind === "leave") inside.delete(event.detection.id);
      }
      expect(counter.counts.zones.yard?.inside ?? 0).toBe(inside.size);
    }
  });

  it("goes on though the clock goes back, the picture's size changes, or nobody looks", () => {
    const counter = new Counter(both);
    counter.update([standing([0.5, 0.4], 1)], WIDTH, HEIGHT, 3_600_000);
    const { boxXyxy, ...rest } = standing([0.5, 0.6], 1);
    const [x1, y1, x2, y2] = boxXyxy;
    const double = { ...rest, boxXyxy: [2 * x1, 2 * y1, 2 * x2, 2 * y2] as const };
    const events = counter.update([double], 2 * WIDTH, 2 * HEIGHT, 0);
    expect(told(events)).toEqual(["gate forwards 1", "street forwards 1"]);
    expect(counter.update([standing([0.5, 0.6], 1)], WIDTH, HEIGHT, 60_000)).toEqual([]);
  });

  it("forgets who was there, not what was counted", () => {
    const counter = new Counter(both);
    counter.update([standing([0.5, 0.4], 1)], WIDTH, HEIGHT, 0);
    expect(told(counter.forget())).toEqual(["leave yard 1"]);
    expect(counter.forget()).toEqual([]);
    const events = counter.update([standing([0.5, 0.6], 1)], WIDTH, HEIGHT, 100);
    expect(told(events)).toEqual(["enter yard 1"]);
    expect(counter.counts.zones.yard).toMatchObject({ inside: 1, entered: 2 });
  });

  it.each<[string, unknown, RegExp]>([
    [
      "pixels",
      { lines: [{ ...GATE, to: [320, 0] }] },
      /"to" of the line "gate" is \[320,0\].*0\.\.1/,
    ],
    [
      "a missing end",
      { lines: [{ name: "a", from: [0, 0] }] },
      /"to" of the line "a" is undefined/,
    ],
    ["no length", { lines: [{ ...GATE, to: GATE.from }] }, /"gate" has no length/],
    ["no name", { lines: [{ from: [0, 0], to: [1, 1] }] }, /line 1 needs a "name"/],
    ["null", { zones: [YARD, null] }, /zone 2 needs a "name"/],
    ["one name twice", { zones: [YARD, YARD] }, /two zones have the name "yard"/],
    ["no list", { zones: YARD }, /"zones" must be a list/],
    ["two points", { zones: [{ name: "z", points: [[0, 0]] }] }, /"z" needs .* three "points"/],
    [
      "not a number",
      {
        zones: [
          {
            name: "z",
            points: [
              [0, 0],
              [0, "1"],
              [1, 1],
            ],
          },
        ],
      },
      /point 2 of/,
    ],
    ["infinity", { lines: [{ ...GATE, from: [Number.NaN, 0] }] }, /"from" of the line "gate"/],
    [
      "points in a row",
      {
        zones: [
          {
            name: "z",
            points: [
              [0, 0],
              [0.5, 0.5],
              [1, 1],
            ],
          },
        ],
      },
      /"z" has no area/,
    ],
  ])("refuses %s", (_, options, message) => {
    const make = () => new Counter(options as CounterOptions);
    expect(make).toThrow(ConfigInvalid);
    expect(make).toThrow(message);
  });
});
