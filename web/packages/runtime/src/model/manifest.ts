/**
 * The model bundle's manifest, read and checked field by field; the JSON Schema is
 * contracts/manifest.schema.json. Knows nothing of loading or running.
 */
import { ManifestInvalid, ManifestTooNew } from "../errors";

/** The newest manifest this runtime reads. */
export const FORMAT_VERSION = 1;
export const MANIFEST_NAME = "manifest.json";
export const GRAPH_NAME = "model.onnx";

/** What runs the graph: ONNX Runtime, or TensorFlow.js. */
export type Runtime = "onnx" | "tfjs";

// By the target that `sightline export` was given.
const TARGETS: Readonly<Record<string, { runtime: Runtime; mainFile: string }>> = {
  onnx: { runtime: "onnx", mainFile: GRAPH_NAME },
  "onnx-fp16": { runtime: "onnx", mainFile: GRAPH_NAME },
  "onnx-int8": { runtime: "onnx", mainFile: GRAPH_NAME },
  tfjs: { runtime: "tfjs", mainFile: "model.json" },
};

export interface FileEntry {
  readonly size: number;
  readonly sha256: string;
}

/** One of the files that the graph consists of. */
export interface ModelFile extends FileEntry {
  readonly name: string;
}

/** What a caller must know to run the graph; `width` and `height` are its input in pixels. */
export interface Manifest {
  readonly name: string;
  readonly runtime: Runtime;
  readonly labels: readonly string[];
  readonly width: number;
  readonly height: number;
  /** How an image gets that size: whatever its proportions, or scaled by one factor and padded. */
  readonly resize: "stretch" | "letterbox";
  readonly scoreThreshold: number;
  /** Boxes of one class with a greater IoU are duplicates; null: the graph leaves none. */
  readonly nmsIou: number | null;
  readonly maxDetections: number;
  readonly inputName: string;
  /** Of boxes, scores and labels. */
  readonly outputNames: readonly [boxes: string, scores: string, labels: string];
  readonly boxFormat: "xyxy_norm" | "yxyx_norm";
  /** What the graph calls the first class. */
  readonly firstLabel: 0 | 1;
  /** The file that the graph is opened by. */
  readonly graph: FileEntry;
  /** All that must be loaded to run it: `graph` and, for TensorFlow.js, its weights. */
  readonly files: readonly ModelFile[];
}

/** A manifest from parsed JSON; `where` names it in errors (ManifestInvalid, ManifestTooNew). */
export function parseManifest(value: unknown, where: string): Manifest {
  const top = new Fields(value, where, "");
  const version = top.integer("format_version", 1);
  if (version > FORMAT_VERSION) {
    throw new ManifestTooNew(
      `${where}: the model has format version ${version}, this page reads up to ` +
        `${FORMAT_VERSION}; update Sightline`,
    );
  }
  const { runtime, mainFile } = readTarget(top);
  const input = top.inner("input");
  input.only("dtype", "uint8");
  input.only("layout", "NHWC");
  input.only("color", "RGB");
  input.only("interpolation", "bilinear-antialias");
  if (input.optional("batch") !== undefined && input.integer("batch", 1) !== 1) {
    throw input.wrong("batch", "1 expected: this page runs one frame at a time");
  }
  const outputs = top.inner("outputs");
  if (runtime === "onnx") {
    input.only("name", "image");
    outputs.only("box_format", "xyxy_norm");
  }
  const files = readFiles(top.inner("files"), mainFile);
  return {
    name: top.text("name"),
    runtime,
    labels: top.texts("labels"),
    width: input.integer("width", 1),
    height: input.integer("height", 1),
    resize: readResize(input, runtime),
    scoreThreshold: top.fraction("score_threshold"),
    nmsIou: top.optional("nms_iou") === undefined ? null : top.fraction("nms_iou"),
    maxDetections: outputs.integer("max_detections", 1),
    inputName: input.text("name"),
    outputNames: [outputs.text("boxes"), outputs.text("scores"), outputs.text("labels")],
    boxFormat: outputs.oneOf("box_format", ["xyxy_norm", "yxyx_norm"]),
    firstLabel: outputs.optional("first_label") === 1 ? 1 : 0,
    graph: files[0],
    files,
  };
}

function readTarget(top: Fields): { runtime: Runtime; mainFile: string } {
  const target = top.optional("target") === undefined ? "onnx" : top.text("target");
  const found = Object.hasOwn(TARGETS, target) ? TARGETS[target] : undefined;
  if (found !== undefined) return found;
  throw top.wrong(
    "target",
    `"${target}" does not run in a browser, ${Object.keys(TARGETS).join(", ")} do`,
  );
}

/** A graph model resizes by itself, stretching; given its own size it leaves the picture as is. */
function readResize(input: Fields, runtime: Runtime): Manifest["resize"] {
  const resize = input.oneOf("resize", ["stretch", "letterbox", "in-graph"]);
  if (resize !== "in-graph") return resize;
  if (runtime === "tfjs") return "stretch";
  throw input.wrong("resize", '"stretch" or "letterbox" expected');
}

/** The main file first, then the shards of weights that a graph model has. */
function readFiles(files: Fields, mainFile: string): readonly [ModelFile, ...ModelFile[]] {
  const read = (name: string): ModelFile => {
    if (/^[/\\]|\.\.|:/.test(name))
      throw files.wrong(name, "a file's path within the bundle expected");
    const entry = files.inner(name);
    const sha256 = entry.text("sha256");
    if (!/^[0-9a-f]{64}$/.test(sha256)) throw entry.wrong("sha256", "64 hex digits expected");
    return { name, size: entry.integer("size", 1), sha256 };
  };
  const isGraphModel = mainFile !== GRAPH_NAME;
  const shards = isGraphModel ? files.keys().filter((name) => name.endsWith(".bin")) : [];
  return [read(mainFile), ...shards.map(read)];
}

/** Typed look-ups in a JSON object that name the field when they fail. */
class Fields {
  readonly #value: Record<string, unknown>;
  readonly #where: string;
  readonly #path: string;

  constructor(value: unknown, where: string, path: string) {
    this.#where = where;
    this.#path = path;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw this.wrong("", "an object expected");
    }
    this.#value = value as Record<string, unknown>;
  }

  wrong(key: string, problem: string): ManifestInvalid {
    const name = [this.#path, key].filter(Boolean).join(".") || "the manifest";
    return new ManifestInvalid(`${this.#where}: ${name}: ${problem}; make the model again`);
  }

  /** The raw value; undefined where absent or null. */
  optional(key: string): unknown {
    return this.#value[key] ?? undefined;
  }

  keys(): string[] {
    return Object.keys(this.#value);
  }

  inner(key: string): Fields {
    return new Fields(this.#value[key], this.#where, [this.#path, key].filter(Boolean).join("."));
  }

  text(key: string): string {
    const found = this.#value[key];
    if (typeof found !== "string") throw this.wrong(key, "a string expected");
    return found;
  }

  texts(key: string): readonly string[] {
    const found = this.#value[key];
    if (!Array.isArray(found) || found.length === 0 || found.some((item) => !isText(item))) {
      throw this.wrong(key, "a list of one or more non-empty strings expected");
    }
    return found as string[];
  }

  integer(key: string, least: number): number {
    const found = this.#value[key];
    if (typeof found !== "number" || !Number.isSafeInteger(found) || found < least) {
      throw this.wrong(key, `an integer of at least ${least} expected`);
    }
    return found;
  }

  fraction(key: string): number {
    const found = this.#value[key];
    if (typeof found !== "number" || !(found >= 0 && found <= 1)) {
      throw this.wrong(key, "a number in 0..1 expected");
    }
    return found;
  }

  oneOf<T extends string>(key: string, allowed: readonly T[]): T {
    const found = allowed.find((each) => each === this.#value[key]);
    if (found !== undefined) return found;
    throw this.wrong(key, `${allowed.map((each) => `"${each}"`).join(" or ")} expected`);
  }

  only(key: string, allowed: string): void {
    if (this.#value[key] !== allowed) throw this.wrong(key, `"${allowed}" expected`);
  }
}

function isText(value: unknown): boolean {
  return typeof value === "string" && value.length > 0;
}
