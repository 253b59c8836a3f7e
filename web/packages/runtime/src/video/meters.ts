/** Running figures over the last moments: rates and medians. Times in milliseconds. */

/** Events per second over a sliding window. */
export class RateMeter {
  readonly #windowMs: number;
  #times: number[] = [];

  constructor(windowMs = 2000) {
    this.#windowMs = windowMs;
  }

  add(now: number): void {
    this.#times.push(now);
    this.#times = this.#times.filter((time) => now - time <= this.#windowMs);
  }

  /** Null until two events lie in the window. */
  perSecond(now: number): number | null {
    const recent = this.#times.filter((time) => now - time <= this.#windowMs);
    const [first] = recent;
    const last = recent.at(-1);
    if (first === undefined || last === undefined || last <= first) return null;
    return ((recent.length - 1) * 1000) / (last - first);
  }

  clear(): void {
    this.#times = [];
  }
}

/** The median of the last values. */
export class MedianMeter {
  readonly #size: number;
  #values: number[] = [];

  constructor(size = 60) {
    this.#size = size;
  }

  add(value: number): void {
    this.#values.push(value);
    if (this.#values.length > this.#size) this.#values.shift();
  }

  /** Null without values. */
  median(): number | null {
    const sorted = [...this.#values].sort((a, b) => a - b);
    const upper = sorted[sorted.length >> 1];
    const lower = sorted[(sorted.length - 1) >> 1];
    return upper === undefined || lower === undefined ? null : (upper + lower) / 2;
  }

  clear(): void {
    this.#values = [];
  }
}
