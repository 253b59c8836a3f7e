/**
 * What the server says over WebSocket and data channel, and what it is asked: the shapes of
 * contracts/wire.schema.json. Knows no connection.
 */
import type { Detection, DetectionResult } from "../device/detector";
import {
  MediaBlocked,
  RemoteBusy,
  RemoteError,
  RemoteRefused,
  RemoteUnreachable,
  TokenRefused,
} from "../errors";

/** What a server is asked to do; what is left out is the server's choice. */
export interface RemoteOptions {
  /** The server's address; by default the page's own. */
  readonly url?: string;
  /** Needed where the page's cookies do not show it: on a server of another origin. */
  readonly token?: string;
  readonly model?: string;
  /** The least score that counts; by default the model's. */
  readonly threshold?: number;
  /** Only these classes. */
  readonly labels?: readonly string[];
  /** At most so many detections, the best first. */
  readonly max?: number;
  /** Number the objects from frame to frame. */
  readonly track?: boolean;
  /** Look only at frames that differ from the last one. */
  readonly motion?: boolean;
}

export interface RemoteResult extends DetectionResult {
  /** When the frame was captured, on the clock of performance.now(). */
  readonly capturedAt: number;
  /** Milliseconds from the frame's arrival at the server to its answer. */
  readonly serverMs: number;
}

/** What the server says of itself before the first frame. */
export interface Ready {
  readonly kind: "ready";
  readonly model: string;
  readonly labels: readonly string[];
  readonly threshold: number;
}

/** One frame's answer. `found` is null where the server saw no motion: the last ones hold on. */
export interface FrameAnswer {
  readonly kind: "answer";
  readonly width: number;
  readonly height: number;
  readonly found: readonly Found[] | null;
  readonly timing: ServerTiming;
  /** WebRTC: the frame's time in ticks of 90 kHz since the first one that arrived. */
  readonly pts: number | null;
  /** WebRTC: milliseconds that the frame has been in the server. */
  readonly ageMs: number;
}

export interface Found {
  readonly label: string;
  readonly score: number;
  readonly box: readonly [x1: number, y1: number, x2: number, y2: number];
  readonly id?: number;
}

/** Milliseconds: waiting, decoding and resizing, in the graph, from arrival on. */
export interface ServerTiming {
  readonly queueMs: number;
  readonly decodeMs: number;
  readonly inferMs: number;
  readonly totalMs: number;
}

export type RemoteMessage =
  | Ready
  | FrameAnswer
  | { readonly kind: "error"; readonly error: RemoteError; readonly isOfFrame: boolean }
  | { readonly kind: "pong"; readonly sentAt: number };

/** Null for a message of a later version's kind. Throws RemoteRefused for what breaks the shape. */
export function parseMessage(text: string): RemoteMessage | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw broken("JSON");
  }
  const fields = record(value, "an object");
  if (fields.type === "ready") return parseReady(fields);
  if (fields.type === "detections" || fields.type === "still") return parseAnswer(fields);
  if (fields.type === "error") {
    return { kind: "error", error: errorOf(fields.error), isOfFrame: fields.frame !== undefined };
  }
  if (fields.type === "pong") return { kind: "pong", sentAt: number(fields, "t") };
  return null;
}

function parseReady(fields: Fields): Ready {
  const { model, labels } = fields;
  if (typeof model !== "string" || !Array.isArray(labels)) throw broken("model and labels");
  return {
    kind: "ready",
    model,
    labels: labels.map(String),
    threshold: number(fields, "threshold"),
  };
}

function parseAnswer(fields: Fields): FrameAnswer {
  const timing = record(fields.timing, "timing");
  return {
    kind: "answer",
    width: number(fields, "width"),
    height: number(fields, "height"),
    found: fields.type === "still" ? null : parseFound(fields.detections),
    timing: {
      queueMs: number(timing, "queue_ms"),
      decodeMs: number(timing, "decode_ms"),
      inferMs: number(timing, "infer_ms"),
      totalMs: number(timing, "total_ms"),
    },
    pts: typeof fields.pts === "number" ? fields.pts : null,
    ageMs: typeof fields.age_ms === "number" ? fields.age_ms : number(timing, "total_ms"),
  };
}

function parseFound(value: unknown): readonly Found[] {
  if (!Array.isArray(value)) throw broken("detections");
  return value.map((item: unknown): Found => {
    const fields = record(item, "detections[]");
    const box = Array.isArray(fields.box) ? fields.box : [];
    const [x1, y1, x2, y2] = box.map(Number);
    if (
      typeof fields.label !== "string" ||
      x1 === undefined ||
      y1 === undefined ||
      x2 === undefined ||
      y2 === undefined
    ) {
      throw broken("detections[].label, .box");
    }
    return {
      label: fields.label,
      score: number(fields, "score"),
      box: [x1, y1, x2, y2],
      ...(typeof fields.id === "number" ? { id: fields.id } : {}),
    };
  });
}

/** The error that a problem document (RFC 9457, with our `code`) tells of. */
export function errorOf(problem: unknown): RemoteError {
  const { code, detail } = (problem ?? {}) as Fields;
  const text = typeof detail === "string" && detail !== "" ? detail : "The server gives no reason.";
  switch (code) {
    case "busy":
    case "rate-limited":
      return new RemoteBusy(text);
    case "token-required":
      return new TokenRefused(text);
    case "internal":
    case "image-unreadable":
    case "image-too-large":
      return new RemoteError(text);
    case "request-timeout":
      return new RemoteUnreachable(text);
    case "not-available":
      return new MediaBlocked(text); // WebRTC is not installed there, or has no address
    default:
      return new RemoteRefused(text);
  }
}

/** Whether it may be over by itself: worth another try. */
export function isPassing(error: unknown): boolean {
  return error instanceof RemoteUnreachable || error instanceof RemoteBusy;
}

/**
 * An answer as a result. Its boxes are scaled to a frame of `width` x `height`; `last` are the
 * detections that hold on where the server saw no motion.
 */
export function toResult(
  answer: FrameAnswer,
  labels: readonly string[],
  capturedAt: number,
  last: readonly Detection[],
  { width, height }: { width: number; height: number } = answer,
): RemoteResult {
  const { queueMs, decodeMs, inferMs, totalMs } = answer.timing;
  const across = width / answer.width;
  const down = height / answer.height;
  const detections = answer.found?.map(({ label, score, box, id }): Detection => {
    const [x1, y1, x2, y2] = box;
    return {
      label,
      labelId: labels.indexOf(label),
      score,
      boxXyxy: [x1 * across, y1 * down, x2 * across, y2 * down],
      ...(id === undefined ? {} : { id }),
    };
  });
  return {
    detections: detections ?? last,
    width,
    height,
    timing: {
      preprocessMs: decodeMs,
      inferenceMs: inferMs,
      postprocessMs: Math.max(0, totalMs - queueMs - decodeMs - inferMs),
    },
    capturedAt,
    serverMs: totalMs,
    isStill: answer.found === null,
  };
}

/** The options as query parameters; the offer takes the same names as JSON. */
export function toQuery(options: RemoteOptions): Record<string, string> {
  const { model, threshold, labels, max, track, motion } = options;
  return {
    ...(model === undefined ? {} : { model }),
    ...(threshold === undefined ? {} : { threshold: String(threshold) }),
    ...(labels === undefined ? {} : { labels: labels.join(",") }),
    ...(max === undefined ? {} : { max: String(max) }),
    ...(track ? { track: "1" } : {}),
    ...(motion ? { motion: "1" } : {}),
  };
}

/** Where a path lies on the server that the options name. */
export function addressOf(options: RemoteOptions, path: string): URL {
  return new URL(path, new URL(options.url ?? "./", document.baseURI));
}

/** What a fetch needs to show the token, if it has one. */
export function credentials(options: RemoteOptions): Record<string, string> {
  return options.token === undefined ? {} : { Authorization: `Bearer ${options.token}` };
}

type Fields = Record<string, unknown>;

function record(value: unknown, name: string): Fields {
  if (typeof value !== "object" || value === null) throw broken(name);
  return value as Fields;
}

function number(fields: Fields, name: string): number {
  const value = fields[name];
  if (typeof value !== "number" || !Number.isFinite(value)) throw broken(name);
  return value;
}

function broken(field: string): RemoteRefused {
  return new RemoteRefused(
    `the server's message is not as this page expects (${field}); page and server are of ` +
      "different versions",
  );
}
