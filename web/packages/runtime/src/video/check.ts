/** Whether the options of a watch mean something: pages without type checking give whatever. */
import { kindOf } from "../device/protocol";
import { ConfigInvalid } from "../errors";
import type { WatchOptions } from "./attach";
import type { WatchSettings } from "./watch";

interface Rule {
  readonly is: (value: unknown) => boolean;
  readonly expected: string;
}

type Rules<T> = { readonly [K in keyof T]-?: Rule | null };

const flag: Rule = { is: (value) => typeof value === "boolean", expected: "true or false" };
const list: Rule = { is: Array.isArray, expected: "a list" };
const text: Rule = { is: (value) => typeof value === "string", expected: "a text" };
const call: Rule = { is: (value) => typeof value === "function", expected: "a function" };

function between(least: number, most: number, expected: string): Rule {
  return { is: (value) => typeof value === "number" && value >= least && value <= most, expected };
}

function oneOf(...names: readonly string[]): Rule {
  const quoted = names.map((name) => JSON.stringify(name)).join(", ");
  return { is: (value) => names.includes(value as string), expected: `one of ${quoted}` };
}

function orNull({ is, expected }: Rule): Rule {
  return { is: (value) => value === null || is(value), expected: `${expected}, or null` };
}

const isText = (value: unknown) => typeof value === "string";
const labels: Rule = {
  is: (value) => Array.isArray(value) && value.every(isText),
  expected: "a list of labels",
};

const SETTINGS: Rules<WatchSettings> = {
  threshold: orNull(between(0, 1, "a number of 0..1")),
  labels: orNull(labels),
  max: between(0, Number.POSITIVE_INFINITY, "a number of at least 0"),
  track: flag,
  motion: flag,
  motionFactor: between(0, Number.MAX_VALUE, "a number of at least 0"),
  minIntervalMs: between(0, Number.MAX_VALUE, "a number of at least 0"),
  mirror: flag,
  sync: oneOf("frame", "live"),
  lines: list, // what is in it is checked where it is counted
  zones: list,
};

/** null: checked where it is used. */
const OPTIONS: Rules<WatchOptions> = {
  ...SETTINGS,
  model: null,
  runtime: null,
  threads: null,
  backend: oneOf("auto", "wasm", "webgpu", "webgl"),
  server: text,
  transport: oneOf("http", "websocket", "webrtc"),
  token: text,
  maxWidth: between(1, Number.MAX_VALUE, "a number of at least 1"),
  overlay: flag,
  look: null,
  onBackend: call,
  onClear: call,
  onCount: call,
  onError: call,
  onPicture: call,
  onProgress: call,
  onReady: call,
  onResult: call,
  onState: call,
};

/** Raises ConfigInvalid, which names all that is wrong; what is undefined is as if left out. */
export function checkSettings(settings: unknown): void {
  check(settings, SETTINGS, "setting");
}

/** As checkSettings, for what watchVideo takes. */
export function checkOptions(video: unknown, options: unknown): void {
  if (kindOf(video) !== "HTMLVideoElement") {
    throw new ConfigInvalid(`watchVideo takes a <video>, not ${kindOf(video)}`);
  }
  check(options, OPTIONS, "option");
}

function check(given: unknown, rules: Readonly<Record<string, Rule | null>>, kind: string): void {
  if (kindOf(given) !== "Object") {
    throw new ConfigInvalid(`the ${kind}s are to be an object, not ${kindOf(given)}`);
  }
  const problems = Object.entries(given as object).flatMap(([name, value]) => {
    if (value === undefined) return [];
    if (!Object.hasOwn(rules, name)) {
      const nearest = nearestOf(name, Object.keys(rules));
      return [`there is no ${kind} "${name}"; the nearest is "${nearest}"`];
    }
    const rule = rules[name];
    if (!rule || rule.is(value)) return [];
    return [`${name} is ${describe(value)}, not ${rule.expected}`];
  });
  if (problems.length > 0) throw new ConfigInvalid(problems.join("; "));
}

function describe(value: unknown): string {
  const isPlain = ["string", "number", "boolean"].includes(typeof value);
  return typeof value === "string"
    ? JSON.stringify(value)
    : isPlain
      ? String(value)
      : kindOf(value);
}

function nearestOf(name: string, known: readonly string[]): string {
  const distances = known.map((other) => [editDistance(name, other), other] as const);
  return distances.reduce((best, one) => (one[0] < best[0] ? one : best))[1];
}

/** Letters to be put in, left out or replaced (V. Levenshtein, 1966). */
function editDistance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (const [before, letter] of [...one].entries()) {
    const next = [before + 1];
    for (const [at, otherLetter] of [...other].entries()) {
      const replaced = (row[at] ?? 0) + (letter === otherLetter ? 0 : 1);
      next.push(Math.min(replaced, (row[at + 1] ?? 0) + 1, (next[at] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
