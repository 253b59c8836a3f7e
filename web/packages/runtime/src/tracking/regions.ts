/**
 * Lines and zones in a picture, in shares of its width and height: what is valid, and where a point
 * lies. Distances are in pixels, since shares are longer one way than the other.
 */
import { ConfigInvalid } from "../errors";

/** 0..1 of the picture's width, 0..1 of its height, from the upper left. */
export type Point = readonly [x: number, y: number];

/**
 * A line that objects cross. From its left to its right, for one who goes from `from` to `to`, is
 * "forwards": a line drawn from left to right counts forwards what comes down the picture.
 */
export interface CountingLine {
  readonly name: string;
  readonly from: Point;
  readonly to: Point;
}

/** An area that objects are in: a polygon of three points or more. */
export interface CountingZone {
  readonly name: string;
  readonly points: readonly Point[];
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

// Of the picture, in shares of its sides: less was a slip of the hand.
const LEAST_LENGTH = 0.001;
const LEAST_AREA = 1e-5;

/** Raises ConfigInvalid where lines or zones are not as their types say, or of no use. */
export function checkRegions(lines: readonly CountingLine[], zones: readonly CountingZone[]): void {
  checkNames("line", lines);
  checkNames("zone", zones);
  for (const { name, from, to } of lines) {
    checkPoint(`"from" of the line "${name}"`, from);
    checkPoint(`"to" of the line "${name}"`, to);
    if (Math.hypot(to[0] - from[0], to[1] - from[1]) < LEAST_LENGTH) {
      throw new ConfigInvalid(`the line "${name}" has no length: "from" and "to" must differ`);
    }
  }
  for (const { name, points } of zones) {
    if (!Array.isArray(points) || points.length < 3) {
      throw new ConfigInvalid(`the zone "${name}" needs a list of three "points" or more`);
    }
    points.forEach((point: Point, index) => {
      checkPoint(`point ${index + 1} of the zone "${name}"`, point);
    });
    if (!hasArea(points)) {
      throw new ConfigInvalid(`the zone "${name}" has no area: its points lie on one line`);
    }
  }
}

function checkNames(kind: string, regions: readonly { readonly name: string }[]): void {
  if (!Array.isArray(regions)) throw new ConfigInvalid(`"${kind}s" must be a list`);
  const names = new Set<string>();
  regions.forEach((region: unknown, index) => {
    const name = (region as { name?: unknown } | null)?.name;
    if (typeof name !== "string" || name === "") {
      throw new ConfigInvalid(`${kind} ${index + 1} needs a "name"`);
    }
    if (names.has(name)) {
      throw new ConfigInvalid(`two ${kind}s have the name "${name}": each needs its own`);
    }
    names.add(name);
  });
}

function checkPoint(what: string, point: unknown): void {
  const isPair = Array.isArray(point) && point.length === 2;
  if (isPair && point.every((share) => typeof share === "number" && share >= 0 && share <= 1)) {
    return;
  }
  throw new ConfigInvalid(
    `${what} is ${JSON.stringify(point)}, not [x, y] in 0..1: shares of the picture's width and ` +
      "height from the upper left (pixels must be divided by them)",
  );
}

/** Whether some three points, the first among them, span a triangle worth the name. */
function hasArea([first, ...others]: readonly Point[]): boolean {
  if (first === undefined) return false;
  const [x, y] = first;
  return others.some((one) =>
    others.some((two) => {
      const twice = (one[0] - x) * (two[1] - y) - (one[1] - y) * (two[0] - x);
      return Math.abs(twice) / 2 >= LEAST_AREA;
    }),
  );
}

/** Pixels from a line, prolonged without end, to a point: above 0 on its right. */
export function distanceRight(
  { from, to }: CountingLine,
  point: Point,
  { width, height }: Size,
): number {
  const [alongX, alongY] = [(to[0] - from[0]) * width, (to[1] - from[1]) * height];
  const [x, y] = [(point[0] - from[0]) * width, (point[1] - from[1]) * height];
  return (alongX * y - alongY * x) / Math.hypot(alongX, alongY);
}

/** 1 where a step crosses a line forwards, between its ends; -1 backwards; 0 where it does not. */
export function crossing(line: CountingLine, before: Point, now: Point, size: Size): -1 | 0 | 1 {
  const was = distanceRight(line, before, size);
  const is = distanceRight(line, now, size);
  if (was >= 0 === is >= 0) return 0;
  const share = was / (was - is);
  const x = before[0] + share * (now[0] - before[0]);
  const y = before[1] + share * (now[1] - before[1]);
  const along = shareAlong(line.from, line.to, [x, y], size);
  if (along < 0 || along > 1) return 0;
  return is >= 0 ? 1 : -1;
}

/**
 * Pixels from a zone to a point: 0 in it and on its edge. Where its edges cross, what they go round
 * an even number of times is outside.
 */
export function distanceOutside({ points }: CountingZone, point: Point, size: Size): number {
  const [x, y] = point;
  let isInside = false;
  let nearest = Number.POSITIVE_INFINITY;
  for (const [from, to] of sides(points)) {
    const isBetween = from[1] > y !== to[1] > y;
    if (isBetween && x < from[0] + ((y - from[1]) / (to[1] - from[1])) * (to[0] - from[0])) {
      isInside = !isInside;
    }
    const along = Math.min(1, Math.max(0, shareAlong(from, to, point, size)));
    const offX = from[0] + along * (to[0] - from[0]) - x;
    const offY = from[1] + along * (to[1] - from[1]) - y;
    nearest = Math.min(nearest, Math.hypot(offX * size.width, offY * size.height));
  }
  return isInside ? 0 : nearest;
}

/** Where the foot of the perpendicular from a point lies on a line: 0 at its start, 1 at its end. */
function shareAlong(from: Point, to: Point, point: Point, { width, height }: Size): number {
  const [alongX, alongY] = [(to[0] - from[0]) * width, (to[1] - from[1]) * height];
  const [x, y] = [(point[0] - from[0]) * width, (point[1] - from[1]) * height];
  const squared = alongX * alongX + alongY * alongY;
  return squared > 0 ? (alongX * x + alongY * y) / squared : 0;
}

/** The edges of a polygon. */
function sides(points: readonly Point[]): [Point, Point][] {
  return points.map((from, index) => [from, points[(index + 1) % points.length] as Point]);
}
