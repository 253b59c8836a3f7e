/** When a worker counts as hung, when it is exchanged for a fresh one, when no more is started. */

const LEAST_HUNG_MS = 10_000;
const HUNG_MEDIANS = 20;

/** A run that takes longer hangs. */
export function hungAfterMs(medianMs: number): number {
  return Math.max(LEAST_HUNG_MS, HUNG_MEDIANS * medianMs);
}

const MOST_GROWTH = 1.5;
const ROOM_BYTES = 64 * 2 ** 20;

/** Whether WebAssembly's memory has outgrown what it was after the first run: there is a leak. */
export function isOutgrown(bytes: number, openedBytes: number): boolean {
  return bytes > MOST_GROWTH * openedBytes + ROOM_BYTES;
}

/** A GPU's memory cannot be asked for; browsers were seen to fail after many runs. */
export const MOST_GPU_RUNS = 10_000;

const WITHIN_MS = 60_000;

/** Counts fresh workers in a minute: what fails again and again is not healed by one more. */
export class RecoveryBudget {
  readonly #most: number;
  #startedMs: number[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  /** Whether another may be started. */
  take(nowMs: number): boolean {
    this.#startedMs = this.#startedMs.filter((started) => nowMs - started < WITHIN_MS);
    if (this.#startedMs.length >= this.#most) return false;
    this.#startedMs.push(nowMs);
    return true;
  }
}

/** The median of the last values; 0 where there are none. */
export class RecentMedian {
  readonly #size: number;
  #values: number[] = [];

  constructor(size: number) {
    this.#size = size;
  }

  get count(): number {
    return this.#values.length;
  }

  add(value: number): void {
    this.#values = [...this.#values, value].slice(-this.#size);
  }

  get median(): number {
    return medianOf(this.#values);
  }
}

/** The lower one of two in the middle; 0 of none. */
export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
}
