/**
 * The 2017 web service's answer: a JSON array of a header and of what was found. Its oddity is
 * kept: `height` and `width` of an object are its bottom and right EDGES, all in 0..1 of the image.
 */
import type { Detection } from "../device/detector";
import { RemoteUnreachable } from "../errors";

export interface Header2017 {
  readonly name: string;
  readonly version: string;
  readonly numObjects: number;
  readonly threshold: number;
}

export interface Object2017 {
  readonly name: "Object";
  readonly class_name: string;
  readonly score: number;
  readonly y: number;
  readonly x: number;
  readonly height: number;
  readonly width: number;
}

export type Answer2017 = readonly [Header2017, ...Object2017[]];

/** What of an answer is of use: the header may be any, clients of 2017 did not look at it. */
export interface ParsedAnswer {
  readonly model: string;
  /** Null where the header does not tell. */
  readonly threshold: number | null;
  readonly objects: readonly Omit<Object2017, "name">[];
}

/** Throws RemoteUnreachable for what is no such answer: the service may be there a moment later. */
export function parseAnswer2017(text: string, address: string): ParsedAnswer {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw broken(address, "is no JSON");
  }
  if (!Array.isArray(value)) throw broken(address, "is no array");
  const items: Fields[] = value.filter((item) => typeof item === "object" && item !== null);
  const header = items.find((item) => !("class_name" in item)) ?? {};
  return {
    model: typeof header.name === "string" ? header.name : "",
    threshold: typeof header.threshold === "number" ? header.threshold : null,
    objects: items.filter((item) => "class_name" in item).map((item) => parseObject(item, address)),
  };
}

type Fields = Record<string, unknown>;

function parseObject(item: Fields, address: string): Omit<Object2017, "name"> {
  const number = (name: string): number => {
    const value = item[name];
    if (typeof value !== "number") throw broken(address, `has no number as ${name}`);
    return value;
  };
  return {
    class_name: String(item.class_name),
    score: number("score"),
    y: number("y"),
    x: number("x"),
    height: number("height"),
    width: number("width"),
  };
}

function broken(address: string, what: string): RemoteUnreachable {
  return new RemoteUnreachable(
    `what ${address} answered ${what}; is it the /image of a detection server?`,
  );
}

/** What the 2017 service would have answered to a picture of width x height. */
export function toAnswer2017(
  found: { readonly detections: readonly Detection[]; width: number; height: number },
  model: string,
  threshold: number,
): Answer2017 {
  const { detections, width, height } = found;
  const objects = detections.map(({ label, score, boxXyxy: [x1, y1, x2, y2] }): Object2017 => {
    const [y, x, bottom, right] = [y1 / height, x1 / width, y2 / height, x2 / width];
    return { name: "Object", class_name: label, score, y, x, height: bottom, width: right };
  });
  return [{ name: model, version: "0.0.1", numObjects: objects.length, threshold }, ...objects];
}
