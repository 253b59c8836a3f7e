/**
 * The model bundle's manifest, read and checked field by field; the JSON Schema is
 * contracts/manifest.schema.json. Knows nothing of loading or running.
 */
import { ManifestInvalid, ManifestTooNew } from "../errors";

/** The newest manifest this runtime reads. */
export const FORMAT_VERSION = 1;
export const MANIFEST_NAME = "manifest.json";
export const GRAPH_NAME = "model.onnx";

export interface FileEntry {
  readonly size: number;
  readonly sha256: string;
}

/** What a caller must know to run the graph; `width` and `height` are its input in pixels. */
export interface Manifest {
  readonly name: string;
  readonly labels: readonly string[];
  readonly width: number;
  readonly height: number;
  /** How an image gets that size: whatever its proportions, or scaled by one factor and padded. */
  readonly resize: "stretch" | "letterbox";
  readonly scoreThreshold: number;
  /** Boxes of one class with a greater IoU are duplicates; null: the graph leaves none. */
  readonly nmsIou: number | null;
  readonly maxDetections: number;
  readonly graph: FileEntry;
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
  const input = top.inner("input");
  input.only("name", "image");
  input.only("dtype", "uint8");
  input.only("layout", "NHWC");
  input.only("color", "RGB");
  const resize = input.text("resize");
  if (resize !== "stretch" && resize !== "letterbox") {
    throw input.wrong("resize", '"stretch" or "letterbox" expected');
  }
  input.only("interpolation", "bilinear-antialias");
  if (input.optional("batch") !== undefined && input.integer("batch", 1) !== 1) {
    throw input.wrong("batch", "1 expected: this page runs one frame at a time");
  }
  const outputs = top.inner("outputs");
  outputs.only("box_format", "xyxy_norm");
  const graph = top.inner("files").inner(GRAPH_NAME);
  const sha256 = graph.text("sha256");
  if (!/^[0-9a-f]{64}$/.test(sha256)) throw graph.wrong("sha256", "64 hex digits expected");
  return {
    name: top.text("name"),
    labels: top.texts("labels"),
    width: input.integer("width", 1),
    height: input.integer("height", 1),
    resize,
    scoreThreshold: top.fraction("score_threshold"),
    nmsIou: top.optional("nms_iou") === undefined ? null : top.fraction("nms_iou"),
    maxDetections: outputs.integer("max_detections", 1),
    graph: { size: graph.integer("size", 1), sha256 },
  };
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

  only(key: string, allowed: string): void {
    if (this.#value[key] !== allowed) throw this.wrong(key, `"${allowed}" expected`);
  }
}

function isText(value: unknown): boolean {
  return typeof value === "string" && value.length > 0;
}
