/** What was measured on this device for a model, kept in the browser's storage for later visits. */

/** `gpu`: how WebGPU came off beside wasm. */
export interface Experience {
  readonly threads: number;
  readonly gpu: "untried" | "faster" | "refused";
}

const KEY = "sightline-backends";
const MOST_MODELS = 16;

interface Entry extends Experience {
  readonly device: string;
}

/** What a browser tells of the device: elsewhere, or with another GPU, other backends are faster. */
export function describeDevice(gpu: string | null): string {
  return [navigator.userAgent, navigator.hardwareConcurrency, gpu ?? "no WebGPU"].join("; ");
}

export function recall(sha256: string, device: string): Experience | null {
  const entry = readAll().get(sha256);
  return entry?.device === device ? entry : null;
}

/** The youngest are kept. */
export function remember(sha256: string, device: string, experience: Experience): void {
  const entries = readAll();
  entries.delete(sha256);
  entries.set(sha256, { ...experience, device });
  write([...entries].slice(-MOST_MODELS));
}

export function forget(sha256: string): void {
  write([...readAll()].filter(([other]) => other !== sha256));
}

function readAll(): Map<string, Entry> {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    if (!Array.isArray(value)) return new Map();
    return new Map((value as [string, unknown][]).filter(([, entry]) => isEntry(entry)) as []);
  } catch {
    return new Map(); // storage is forbidden, or holds something else
  }
}

function isEntry(value: unknown): value is Entry {
  const { device, threads, gpu } = (value ?? {}) as Record<string, unknown>;
  return (
    typeof device === "string" &&
    Number.isInteger(threads) &&
    ["untried", "faster", "refused"].includes(gpu as string)
  );
}

function write(entries: readonly (readonly [string, Entry])[]): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(entries));
  } catch {
    // storage is forbidden or full: the next visit measures again
  }
}
